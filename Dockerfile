# One image for worker, gateway and the one-shot schema upgrade.
FROM python:3.13-slim AS build
ARG UV_VERSION=0.13.8
WORKDIR /build
RUN python -m venv /opt/venv && python -m pip install --no-cache-dir uv==${UV_VERSION}
COPY requirements.lock .
RUN uv pip sync --no-cache --python /opt/venv/bin/python --require-hashes requirements.lock

FROM python:3.13-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin forewarn
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY worker.py starter.py ./
COPY domain domain
COPY activities activities
COPY workflows workflows
COPY adapters adapters
COPY runtime runtime
COPY gateway gateway
COPY content content
USER forewarn
EXPOSE 8080
CMD ["python", "worker.py"]
