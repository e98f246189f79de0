"""The post-mortem of an incident: drafted from the timeline, reviewed, published or completed.

The incident puts the draft before its reviewers and passes their decision on, so that every
decision on words is taken in one place. A rejected draft is written again, one with sensitive
content is not published, and before and past its deadline the reviewers are asked again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import workflow

from activities.postmortem import PostMortemDraft, PostMortemInput, PublishInput
from domain.events import PostMortemMoved
from domain.incident import PostMortemState
from workflows import names, options
from workflows.messages import PostMortemAnswer, PostMortemResult, PostMortemStart


@workflow.defn(name=names.POST_MORTEM)
class PostMortem:
    @workflow.init
    def __init__(self, start: PostMortemStart) -> None:
        self._start = start
        self._answers: list[PostMortemAnswer] = []
        self._nudges: tuple[datetime, ...] = ()

    @workflow.run
    async def run(self, start: PostMortemStart) -> PostMortemResult:
        attempt, drafted = start.attempts, start.drafted
        while True:
            if not drafted:
                attempt += 1
                await self._draft(attempt)
            drafted = False
            answer = await self._answer()
            if not answer.approved:
                if answer.state is not None:
                    self._start = self._start.model_copy(update={"state": answer.state})
                continue
            published = await self._publish(answer)
            if published is not None:
                return published
            drafted = True

    @workflow.signal(name="answered")
    def answered(self, answer: PostMortemAnswer) -> None:
        self._answers.append(answer)

    async def _answer(self) -> PostMortemAnswer:
        """The reviewers' decision; until it is there they are asked before and past the deadline.

        The instants come with the draft: what an earlier release drafted has none, and no timers.
        """
        for at in self._nudges:
            wait = at - workflow.now()
            if wait <= timedelta(0):
                continue
            try:
                await workflow.wait_condition(
                    lambda: bool(self._answers),
                    timeout=wait,
                    timeout_summary=f"Ask for the post-mortem at {at:%Y-%m-%d %H:%M} UTC",
                )
            except TimeoutError:
                await self._tell_incident(PostMortemMoved(state=PostMortemState.DUE))
            else:
                break
        await workflow.wait_condition(lambda: bool(self._answers))
        return self._answers.pop(0)

    async def _draft(self, attempt: int) -> None:
        workflow.set_current_details(f"Drafting, attempt {attempt}")
        draft = await workflow.execute_activity(
            "draft_post_mortem",
            PostMortemInput(
                state=self._start.state,
                policy_hash=self._start.policy_hash,
                public=self._start.public,
                attempt=attempt,
            ),
            task_queue=names.QUEUE_DRAFTING,
            result_type=PostMortemDraft,
            **options.DRAFTING,
            summary="Draft the post-mortem from the timeline",
        )
        self._nudges = draft.nudges
        workflow.set_current_details(f"Draft {draft.version} waits for its reviewers")
        await self._tell_incident(
            PostMortemMoved(
                state=PostMortemState.DRAFTED,
                version=draft.version,
                hash=draft.hash,
                invalid=draft.invalid,
            )
        )

    async def _publish(self, answer: PostMortemAnswer) -> PostMortemResult | None:
        """Publish what was approved; None where the check refused it, then reviewers see it again.

        Earlier releases never got that answer, so their histories replay as they are.
        """
        public = self._start.public
        published = await workflow.execute_activity(
            "publish_post_mortem",
            PublishInput(
                incident_id=self._start.incident_id,
                version=answer.version,
                public=public,
                by=answer.by,
                policy_hash=self._start.policy_hash,
            ),
            result_type=PostMortemDraft,
            **options.PROJECTION,
            summary=f"Publish draft {answer.version}" if public else "Complete, internally",
        )
        if published.invalid:
            workflow.set_current_details(f"Draft {published.version} holds sensitive content")
            await self._tell_incident(
                PostMortemMoved(
                    state=PostMortemState.DRAFTED,
                    version=published.version,
                    hash=published.hash,
                    invalid=True,
                )
            )
            return None
        state = PostMortemState.PUBLISHED if public else PostMortemState.COMPLETED
        await self._tell_incident(
            PostMortemMoved(
                state=state,
                version=published.version,
                hash=published.hash,
            )
        )
        return PostMortemResult(state=state, version=published.version)

    async def _tell_incident(self, moved: PostMortemMoved) -> None:
        incident = workflow.get_external_workflow_handle(
            names.incident_workflow_id(self._start.incident_id)
        )
        await incident.signal("post_mortem_moved", moved)
