# A machine as a newcomer has it in a dev container: a plain Python image, make, and a user without rights.
ARG PYTHON=3.13
FROM python:${PYTHON}-slim
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends make \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home newcomer && install -d -o newcomer -g newcomer /project
USER newcomer
WORKDIR /project
