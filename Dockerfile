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

# The base without what no service reads: packages' archives, documents, words of other languages, pip.
# dpkg's list stays, from which scanners know what is here.
FROM python:3.11-slim-bookworm AS base
RUN rm -rf /var/cache/* /var/lib/apt/* /var/log/* /root/.cache /tmp/* \
 && rm -rf /usr/share/doc /usr/share/info /usr/share/locale /usr/share/man \
 && find / -xdev -type d \( -path '*-packages/pip' -o -path '*-packages/setuptools' -o -name ensurepip \) -prune -exec rm -rf {} +

# From scratch, since a layer above a base can hide files but not give their room back.
FROM scratch
COPY --from=base / /
COPY --from=build /opt/tailrace /opt/tailrace
# A number, so that Kubernetes sees that it isn't root's.
USER 10001:10001
WORKDIR /app
ENV PATH=/opt/tailrace/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ENTRYPOINT ["tailrace"]
CMD ["--help"]
