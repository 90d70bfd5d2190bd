# All images. A service: `docker build --target service --build-arg SERVICE=order .`; the process that deploys topics and
# queues to LocalStack: `docker build --target topology --build-arg LOCK=topology .`
FROM python:3.13-slim AS packages
# The lock of an image that needs other packages than every service; relay-nats and relay-rabbitmq are the relay's with the
# client of another broker.
ARG LOCK=service
COPY locks/build.txt locks/${LOCK}.txt /tmp/locks/
RUN python -m venv /opt/venv \
 && python -m venv /opt/build \
 && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r /tmp/locks/${LOCK}.txt \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes -r /tmp/locks/build.txt
# After the packages, which a change of the library then does not install again.
COPY shared/ /tmp/shared/
RUN /opt/build/bin/pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /tmp/dist /tmp/shared \
 && /opt/venv/bin/pip install --no-cache-dir --no-index --no-deps /tmp/dist/*.whl

FROM python:3.13-slim AS base
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin event-trio
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv

FROM base AS topology
LABEL org.opencontainers.image.title="event-trio/topology" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV READY_FILE=/tmp/topology-ready
COPY infra/ infra/
RUN python -m compileall -q .
USER 10001
# Healthy once everything is deployed.
HEALTHCHECK --interval=5s --timeout=10s --start-period=180s --retries=3 \
    CMD ["bash", "-c", "[[ -n $(find $READY_FILE -newermt '-15 seconds') ]]"]
CMD ["python", "-m", "infra.localstack.watch"]

FROM base AS service
ARG SERVICE
ARG PORT=8000
LABEL org.opencontainers.image.title="event-trio/${SERVICE}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV SERVICE=${SERVICE} \
    HTTP_HOST=0.0.0.0 \
    HTTP_PORT=${PORT}
COPY services/__init__.py services/
COPY services/${SERVICE}/ services/${SERVICE}/
RUN python -m compileall -q .
USER 10001
EXPOSE ${PORT}
# In bash alone: starting a Python for every look would cost more than the service at rest.
HEALTHCHECK --interval=5s --timeout=10s --start-period=120s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/$HTTP_PORT && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r -t 8 line <&3 && [[ $line == *' 200 '* ]]"]
# `exec` puts Python in the shell's place, so that it gets the signals.
CMD ["bash", "-c", "exec python -m services.$SERVICE.main"]
