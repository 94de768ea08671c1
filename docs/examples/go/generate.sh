#!/bin/sh
# Makes the Go code of the protocol from proto/ of this repository.
#
#   ./generate.sh [FOLDER]     default: beside this script; the code goes into synod/v1 of it
#
# Needs protoc 3.15 or newer and the two plugins for Go; Debian: apt-get install protobuf-compiler protoc-gen-go-1-5 protoc-gen-go-grpc
set -eu
here=$(cd "$(dirname "$0")" && pwd)
proto=$here/../../../proto
out=${1:-$here}

for tool in protoc protoc-gen-go protoc-gen-go-grpc; do
  command -v "$tool" >/dev/null && continue
  echo "generate.sh: $tool is not installed; on Debian: apt-get install protobuf-compiler protoc-gen-go-1-5 protoc-gen-go-grpc" >&2
  exit 1
done

# The pages name no Go package, so the package of each is named here.
package='example.com/synod-go-client/synod/v1;synodv1'
options='paths=source_relative'
cd "$proto"
for page in synod/v1/*.proto; do options="$options,M$page=$package"; done
mkdir -p "$out"
protoc --go_out="$options:$out" --go-grpc_out="$options:$out" synod/v1/*.proto
