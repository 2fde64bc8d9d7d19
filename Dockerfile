# docker build -t worldplay-live .                              with CUDA (PyTorch's default wheels)
# docker build -t worldplay-live --build-arg ACCELERATOR=cpu .  without

FROM node:22-slim AS page
WORKDIR /src/client_web
COPY client_web/package.json client_web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY client_web ./
RUN npm run build

FROM python:3.12-slim
ARG ACCELERATOR=cuda
WORKDIR /app
COPY requirements.lock pyproject.toml setup.py README.md LICENSE ./
# The lock pins torch, and the wheel index is two words or none.
# hadolint ignore=DL3013,SC2086
RUN torch="$(grep '^torch==' requirements.lock)" \
    && if [ "$ACCELERATOR" = cpu ]; then index="--index-url https://download.pytorch.org/whl/cpu"; else index=""; fi \
    && pip install --no-cache-dir $index "$torch"
COPY server ./server
COPY --from=page /src/server/worldplay/web/page ./server/worldplay/web/page
RUN pip install --no-cache-dir -c requirements.lock .
RUN useradd --create-home --uid 1000 worldplay
USER 1000
ENV WORLDPLAY_HOST=0.0.0.0
EXPOSE 8000
# Reading the released model's weights takes minutes.
HEALTHCHECK --start-period=10m CMD ["python", "-c", "from urllib.request import urlopen; from worldplay.settings import load_settings; urlopen(f'http://127.0.0.1:{load_settings().port}/health')"]
CMD ["worldplay", "serve"]
