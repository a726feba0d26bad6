# One image for every service: docker run tailrace edge --host 0.0.0.0 --redis redis://...
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements/image.txt requirements/build.txt requirements/
RUN python -m venv --without-pip /opt/tailrace \
 && python -m pip install --no-cache-dir --quiet --require-hashes -r requirements/build.txt \
 && python -m pip --python /opt/tailrace/bin/python install --no-cache-dir --quiet --require-hashes -r requirements/image.txt
COPY . .
RUN python -m pip wheel --no-cache-dir --quiet --no-deps --no-build-isolation --wheel-dir dist . \
 && python -m pip --python /opt/tailrace/bin/python install --no-cache-dir --quiet --no-deps dist/*.whl \
 && python -m pip --python /opt/tailrace/bin/python check

FROM python:3.11-slim-bookworm
# A number, so that Kubernetes sees that it isn't root's.
USER 10001:10001
WORKDIR /app
ENV PATH=/opt/tailrace/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=build /opt/tailrace /opt/tailrace
ENTRYPOINT ["tailrace"]
CMD ["--help"]
