#!/usr/bin/env bash
# Build both images without a Docker engine, by buildah, from a base that debootstrap makes (docs/docker.md).
#
# All from the environment, none needed:
#   BASE_IMAGE       a base of your own; else localhost/wardround-base is made, once
#   DEBIAN_MIRROR    where debootstrap gets Debian (else its default)
#   TORCH_INDEX_URL  where torch comes from; "" for the package index alone (else PyTorch's CPU builds)
#   PIP_CERT, PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS, PIP_TRUSTED_HOST   as for pip
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -z "${BASE_IMAGE:-}" ]]; then
    BASE_IMAGE=localhost/wardround-base
    if ! buildah inspect --type image "$BASE_IMAGE" > /dev/null 2>&1; then
        root=$(mktemp -d)
        trap 'rm -rf "$root"' EXIT
        debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$root" ${DEBIAN_MIRROR:-} > /dev/null
        rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
        base=$(buildah from scratch)
        buildah add --quiet "$base" "$root/" / > /dev/null
        buildah commit --quiet --rm "$base" "$BASE_IMAGE"
    fi
fi

arguments=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
if [[ -v TORCH_INDEX_URL ]]; then arguments+=(--build-arg "TORCH_INDEX_URL=$TORCH_INDEX_URL"); fi
for name in PIP_CERT PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_TRUSTED_HOST; do
    value=${!name:-}
    if [[ -n "$value" ]]; then arguments+=(--build-arg "$name=$value"); fi
    if [[ -e "$value" ]]; then arguments+=(--volume "$value:$value:ro"); fi
done
for target in coordinator node; do
    buildah build --format docker --isolation chroot --pull=false --layers --target "$target" --tag "localhost/wardround-$target" \
        "${arguments[@]}" --file docker/Dockerfile .
done
