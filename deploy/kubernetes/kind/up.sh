#!/usr/bin/env bash
# A Kubernetes of three nodes in containers, with Synod, Prometheus and Grafana on it.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

usage() {
  cat <<TEXT
up.sh: makes a kind cluster, builds and loads the image, applies the overlay, waits until all is ready.

  --no-build   take the image $IMAGE as it is
  --help       this text

It can be run again: what is there already is kept and brought up to date.
SYNOD_KIND_NODE names another node image (now $NODE_IMAGE).

Example:
  deploy/kubernetes/kind/up.sh

Exit codes: 0 ready; 1 something failed; $EXIT_USAGE wrong usage; $EXIT_MISSING docker or podman, kind or kubectl is missing.
TEXT
}

build=true
existed=false
for argument in "$@"; do
  case "$argument" in
    --no-build) build=false ;;
    --help | -h)
      usage
      exit 0
      ;;
    *) fail "$EXIT_USAGE" "$argument is not expected; see --help" ;;
  esac
done

need kind kubectl
find_engine
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../../.." && pwd)"

if [ "$build" = true ]; then
  echo "Building $IMAGE …"
  revision="$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)"
  "$ENGINE" build --file "$root/deploy/docker/Dockerfile" --build-arg "REVISION=$revision" --tag "$IMAGE" "$root"
fi

if kind get clusters 2>/dev/null | grep -qx "$CLUSTER"; then
  echo "The kind cluster $CLUSTER is there already."
  existed=true
else
  kind create cluster --config "$here/cluster.yaml" --image "$NODE_IMAGE" --wait 180s
fi

echo "Loading $IMAGE onto the nodes …"
if [ "$ENGINE" = docker ]; then
  kind load docker-image "$IMAGE" --name "$CLUSTER"
else
  archive="$(mktemp -t synod-image-XXXXXX.tar)"
  trap 'rm -f "$archive"' EXIT
  # podman calls it localhost/synod:kind; a pod asks for docker.io/library/synod:kind.
  podman tag "$IMAGE" "docker.io/library/$IMAGE"
  podman save --format oci-archive --output "$archive" "docker.io/library/$IMAGE"
  kind load image-archive "$archive" --name "$CLUSTER"
fi

kubectl --context "$CONTEXT" apply -k "$here/../overlays/kind"
if [ "$existed" = true ] && [ "$build" = true ]; then
  # The image has the tag that it had: only pods that are made anew take the new one.
  on_cluster rollout restart statefulset/synod-acceptor statefulset/synod-proposer statefulset/synod-learner
fi
echo "Waiting until all pods are ready …"
for workload in statefulset/synod-acceptor statefulset/synod-proposer statefulset/synod-learner deployment/prometheus deployment/grafana; do
  if ! on_cluster rollout status "$workload" --timeout=300s; then
    on_cluster get pods --output wide >&2
    fail 1 "$workload is not ready; see: kubectl --context $CONTEXT --namespace $NAMESPACE describe pods"
  fi
done

cat <<TEXT

Synod runs in namespace $NAMESPACE of kind cluster $CLUSTER (context $CONTEXT).

  for clients in the cluster   synod-propose.$NAMESPACE.svc:7201 (proposals), synod-read.$NAMESPACE.svc:7301 (reads);
                               network policies let in pods with the label synod-client=true
  Prometheus, Grafana          prometheus.$NAMESPACE.svc:9090, grafana.$NAMESPACE.svc:3000

Try:
  kubectl --context $CONTEXT -n $NAMESPACE exec synod-proposer-1 -- synod ctl propose hello
  kubectl --context $CONTEXT -n $NAMESPACE exec synod-proposer-1 -- synod ctl status
  kubectl --context $CONTEXT -n $NAMESPACE port-forward service/grafana 3000    # then http://127.0.0.1:3000

Remove all of it: deploy/kubernetes/kind/down.sh
TEXT
