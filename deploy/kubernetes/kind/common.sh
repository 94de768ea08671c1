# Sourced by up.sh and down.sh, which use what is set here.
# shellcheck shell=bash disable=SC2034

set -euo pipefail

CLUSTER=synod
NAMESPACE=synod
IMAGE=synod:kind
# The node image: Kubernetes 1.32, the version that the manifests are made for. Another by SYNOD_KIND_NODE.
NODE_IMAGE="${SYNOD_KIND_NODE:-kindest/node:v1.32.8}"
CONTEXT="kind-$CLUSTER"
# EX_USAGE and EX_UNAVAILABLE of sysexits.
EXIT_USAGE=64
EXIT_MISSING=69

# fail CODE TEXT…  Ends with one line for a person.
fail() {
  local code="$1"
  shift
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit "$code"
}

# The container engine: docker, or podman where only that answers. Sets ENGINE.
find_engine() {
  local each
  for each in docker podman; do
    if command -v "$each" >/dev/null && "$each" info >/dev/null 2>&1; then
      ENGINE="$each"
      [ "$ENGINE" = docker ] || export KIND_EXPERIMENTAL_PROVIDER="$ENGINE"
      return
    fi
  done
  fail "$EXIT_MISSING" "no container engine answers: install and start Docker or podman"
}

# Refuses to go on without the commands that are named.
need() {
  local each
  for each in "$@"; do
    command -v "$each" >/dev/null || fail "$EXIT_MISSING" "$each is not installed; kind: https://kind.sigs.k8s.io, kubectl: https://kubernetes.io/docs/tasks/tools"
  done
}

on_cluster() {
  kubectl --context "$CONTEXT" --namespace "$NAMESPACE" "$@"
}
