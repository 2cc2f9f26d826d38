#!/usr/bin/env bash
# What the program is made of, as a CycloneDX document: every crate that is linked into it or that it is built with, with
# version, licence, source and checksum.
#
#     deploy/sbom.sh [FILE]     FILE is target/anthropic-ecs.cdx.json unless it is named
#
# The document is made from Cargo.lock as the image makes its own (see Dockerfile), for the kind of machine it is made on. It is
# then held against what cargo itself says is linked, so that none can be missing, and each must have a licence, a checksum and
# the name that scanners look advisories up by. Needs cargo-cyclonedx and jq.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

file=${1:-target/anthropic-ecs.cdx.json}
# One is made for each crate of ours; that of the program has them all in it.
made=crates/cli/sbom.cdx.json
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"; rm -f crates/*/sbom.cdx.json' EXIT

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

cargo cyclonedx --quiet --manifest-path crates/cli/Cargo.toml --all --format json --spec-version 1.5 --override-filename sbom.cdx

# The members of the workspace have no address of a registry, so that they are compared by name and version too.
cargo tree --locked --package anthropic-ecs --edges normal,build --prefix none --format '{p}' |
    awk '{ sub(/^v/, "", $2); print $1 "@" $2 }' | sort -u >"$scratch/linked"
jq -r '.metadata.component, .components[] | "\(.name)@\(.version)"' "$made" | sort -u >"$scratch/listed"
missing=$(comm -23 "$scratch/linked" "$scratch/listed")
[[ -z $missing ]] || die "not in the document: $missing"
[[ $(wc -l <"$scratch/listed") -gt 100 ]] || die "the document has hardly anything in it"

jq -e '.bomFormat == "CycloneDX" and .specVersion == "1.5" and (.metadata.component.name == "anthropic-ecs")' "$made" >/dev/null ||
    die "the document is none of CycloneDX 1.5 for this program"
without=$(jq -r '.components[] | select((.licenses | length) == 0 or (.purl // "" | startswith("pkg:cargo/") | not)) | .name' "$made")
[[ -z $without ]] || die "without a licence or an address: $without"
unknown=$(jq -r '.components[] | select((.purl | contains("?") | not) and ((.hashes | length) == 0)) | .name' "$made")
[[ -z $unknown ]] || die "without a checksum: $unknown"

mkdir -p "$(dirname "$file")"
# Where it was made is nobody's business, and would be another for each who makes it.
sed "s|file://$PWD/|file:///src/|g" "$made" >"$file"
printf '%s: %d components, licences: %s\n' "$file" "$(jq '.components | length' "$made")" \
    "$(jq -r '[.components[].licenses[] | .expression // .license.id // .license.name] | unique | join(", ")' "$made")"
