"""Starts one child program so that it cannot outlive its supervisor, and not as root if asked.

Run as a script under `python -I -S`: it becomes the child by exec, so the process id is the
child's. A function run between fork and exec would do the same, but may deadlock in a supervisor
that has threads.

    launcher.py PARENT_PID DEATH_SIGNAL UID|- BYPASS(0|1) PROGRAM [ARG…]
"""

# All imports at the top: after the change of user our own library may be out of reach.
import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


def main(arguments: list[str]) -> None:
    """Drop to the user id, ask to die with the parent, become the program."""
    parent, death_signal, uid, bypass = arguments[:4]
    command = arguments[4:]
    if uid != "-":
        _become(int(uid), keep_file_access=bypass == "1")
    if sys.platform == "linux":
        # After the change of user, which clears it.
        _prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != int(parent):
            sys.exit("the supervisor was gone before its child had started")
    os.execvpe(command[0], command, os.environ)


def _become(uid: int, keep_file_access: bool) -> None:
    if keep_file_access:
        _prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if keep_file_access:
        _keep_file_access()


def _keep_file_access() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    bit = 1 << CAP_DAC_OVERRIDE
    # effective, permitted, inheritable; the second triple holds capabilities above 31.
    data = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    if libc.capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE)


def _prctl(option: int, first: int, second: int = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_ulong(number) for number in (first, second, 0, 0)]
    if libc.prctl(option, *words) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


if __name__ == "__main__":
    main(sys.argv[1:])
