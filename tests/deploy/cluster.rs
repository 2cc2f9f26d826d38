//! The manifests for Kubernetes: what one of them names, another must have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{CLUSTER, DRAIN_SECONDS, Installed, at, configuration_of, keys, text, word, words, yaml};

/// Everything there is in the cluster.
struct Cluster {
    custom: Value,
    resources: Vec<Value>,
}

impl Cluster {
    fn read() -> Self {
        let custom = yaml(&format!("{CLUSTER}/kustomization.yaml")).remove(0);
        let files = words(at(&custom, "/resources")).into_iter().map(|file| format!("{CLUSTER}/{file}"));
        let resources = files.flat_map(|file| yaml(&file)).collect();
        Self { custom, resources }
    }

    fn of_kind<'c>(&'c self, kind: &str) -> Vec<&'c Value> {
        self.resources.iter().filter(|resource| word(resource, "/kind") == kind).collect()
    }

    #[track_caller]
    fn only(&self, kind: &str) -> &Value {
        let [one] = self.of_kind(kind)[..] else { panic!("there is not one {kind}") };
        one
    }

    /// What runs pods, by name.
    fn workloads(&self) -> BTreeMap<&str, Workload<'_>> {
        let templates = self.resources.iter().filter(|resource| resource.pointer("/spec/template").is_some());
        templates.map(|resource| (word(resource, "/metadata/name"), Workload(resource))).collect()
    }

    /// A part of a generated configuration map.
    #[track_caller]
    fn generated(&self, map: &str, part: &str) -> Vec<&str> {
        let maps = at(&self.custom, "/configMapGenerator").as_array().unwrap();
        let map = maps.iter().find(|made| word(made, "/name") == map).unwrap();
        words(at(map, part))
    }

    /// The variables that a container gets from the maps it names.
    fn variables(&self, workload: &Workload<'_>) -> BTreeSet<String> {
        let from = at(workload.container(), "/envFrom").as_array().unwrap();
        let literals =
            from.iter().flat_map(|from| self.generated(word(from, "/configMapRef/name"), "/literals"));
        literals.map(|literal| literal.split_once('=').unwrap().0.to_owned()).collect()
    }
}

/// Something that runs pods of one container.
struct Workload<'c>(&'c Value);

impl<'c> Workload<'c> {
    fn pod(&self) -> &'c Value {
        at(self.0, "/spec/template/spec")
    }

    fn container(&self) -> &'c Value {
        let containers = at(self.pod(), "/containers").as_array().unwrap();
        assert_eq!(containers.len(), 1);
        &containers[0]
    }

    fn labels(&self) -> &'c Value {
        at(self.0, "/spec/template/metadata/labels")
    }

    fn command(&self) -> &'c str {
        word(self.container(), "/args/0")
    }

    /// The configuration inside of the container; its file here must be in the map that is mounted there.
    fn configuration(&self, cluster: &Cluster) -> Installed {
        let inside = configuration_of(&words(at(self.container(), "/args"))).unwrap();
        let (volume, name) = self.mounted(inside);
        let map = word(&volume, "/configMap/name");
        assert!(cluster.generated(map, "/files").contains(&name), "{name} is not in the map {map}");
        Installed::read(format!("{CLUSTER}/{name}"))
    }

    /// The volume that a path lies in, and the path's name in there.
    #[track_caller]
    fn mounted<'p>(&self, path: &'p str) -> (Value, &'p str) {
        let mounts = at(self.container(), "/volumeMounts").as_array().unwrap();
        let (name, rest) = mounts
            .iter()
            .find_map(|mount| {
                Some((word(mount, "/name"), path.strip_prefix(word(mount, "/mountPath"))?.strip_prefix('/')?))
            })
            .unwrap_or_else(|| panic!("{path} is on no volume"));
        let plain = self.pod().pointer("/volumes").and_then(Value::as_array).into_iter().flatten();
        let found = plain.clone().find(|volume| word(volume, "/name") == name).cloned();
        let claims = self.0.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
        let claim =
            || claims.into_iter().flatten().find(|claim| word(claim, "/metadata/name") == name).cloned();
        (found.or_else(claim).unwrap_or_else(|| panic!("there is no volume {name}")), rest)
    }
}

#[test]
fn every_pod_has_what_its_configuration_names() {
    let cluster = Cluster::read();
    let workloads = cluster.workloads();
    assert_eq!(workloads.keys().copied().collect::<Vec<_>>(), ["consumer", "poller", "setup"]);
    let told = text(&format!("{CLUSTER}/kustomization.yaml"));
    for (name, workload) in &workloads {
        assert_eq!(word(workload.container(), "/image"), word(&cluster.custom, "/images/0/name"));
        let config = workload.configuration(&cluster);
        let missing: Vec<_> = config.variables().difference(&cluster.variables(workload)).cloned().collect();
        assert!(missing.is_empty(), "{name}: nobody sets {missing:?}");

        // The secret is made by hand, as the first lines of the kustomization say.
        let mut secrets = BTreeSet::new();
        for path in config.secrets() {
            let (volume, key) = workload.mounted(path);
            assert_eq!(word(&volume, "/secret/secretName"), *name);
            secrets.insert(key);
        }
        let line = told.lines().find(|line| line.contains(&format!(" secret generic {name} "))).unwrap();
        let made: BTreeSet<_> = line.split(" --from-file=").skip(1).collect();
        match workload.command() {
            "run" => assert_eq!(made, secrets, "{name}"),
            _ => assert!(made.is_subset(&secrets), "{name}: {made:?}"),
        }
        if let (Some(state), "run") = (config.get("state", "path"), workload.command()) {
            let (claim, _) = workload.mounted(state);
            assert_eq!(at(&claim, "/spec/accessModes"), &serde_json::json!(["ReadWriteOncePod"]));
        }
        assert_eq!(config.get("source", "type") == Some("compliance_api"), *name == "poller");
    }
}

#[test]
fn every_pod_may_do_little() {
    for (name, workload) in Cluster::read().workloads() {
        let (pod, container) = (workload.pod(), workload.container());
        for (value, expected) in [
            (at(pod, "/securityContext/runAsNonRoot"), "true"),
            (at(pod, "/securityContext/seccompProfile/type"), "\"RuntimeDefault\""),
            (at(pod, "/automountServiceAccountToken"), "false"),
            (at(container, "/securityContext/allowPrivilegeEscalation"), "false"),
            (at(container, "/securityContext/readOnlyRootFilesystem"), "true"),
            (at(container, "/securityContext/capabilities/drop"), "[\"ALL\"]"),
        ] {
            assert_eq!(value.to_string(), expected, "{name}");
        }
        // The user that the image has.
        let user = at(pod, "/securityContext/runAsUser");
        assert!(text("Dockerfile").contains(&format!("\nUSER {user}:{user}\n")), "{name}: {user}");
        assert!(container.pointer("/resources/limits/memory").is_some(), "{name} may take all memory");
    }
}

#[test]
fn every_stage_is_asked_where_it_listens() {
    let cluster = Cluster::read();
    let stages: Vec<_> =
        cluster.workloads().into_iter().filter(|(_, stage)| stage.command() == "run").collect();
    assert_eq!(stages.len(), 2);
    for (name, stage) in &stages {
        let config = stage.configuration(&cluster);
        let port = at(stage.container(), "/ports/0");
        assert_eq!((word(port, "/name"), at(port, "/containerPort")), ("telemetry", &config.port().into()));
        for (probe, path) in
            [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
        {
            let asked = at(stage.container(), &format!("/{probe}/httpGet"));
            assert_eq!((word(asked, "/path"), word(asked, "/port")), (path, "telemetry"), "{name}: {probe}");
        }
        let notes = at(stage.0, "/spec/template/metadata/annotations");
        assert_eq!(word(notes, "/prometheus.io~1port"), config.port().to_string());
        assert_eq!(word(notes, "/prometheus.io~1path"), "/metrics");
        let patience = at(stage.pod(), "/terminationGracePeriodSeconds").as_u64().unwrap();
        assert!(patience > DRAIN_SECONDS, "{name}: a stop would be cut short");
    }
    let open = cluster.of_kind("NetworkPolicy");
    let open = open.iter().filter_map(|policy| policy.pointer("/spec/ingress/0/ports/0/port"));
    assert_eq!(open.collect::<Vec<_>>(), ["telemetry"]);
}

#[test]
fn consumers_are_counted_by_the_lag_of_their_own_group() {
    let cluster = Cluster::read();
    let workloads = cluster.workloads();
    let scaled = cluster.only("ScaledObject");
    let consumer = &workloads[word(scaled, "/spec/scaleTargetRef/name")];
    let config = consumer.configuration(&cluster);
    let [trigger] = &at(scaled, "/spec/triggers").as_array().unwrap()[..] else { panic!("one thing counts") };
    let asked = at(trigger, "/metadata");
    for (key, said) in [("group", "consumerGroup"), ("topics", "topic"), ("start", "offsetResetPolicy")] {
        assert_eq!(Some(word(asked, &format!("/{said}"))), config.get("source", key), "{said}");
    }
    let source = &config.table["source"];
    assert_eq!(word(asked, "/tls") == "enable", source["tls"].as_bool() == Some(true));
    let mechanism = source["sasl_mechanism"].as_str().unwrap();
    assert_eq!(word(asked, "/sasl"), mechanism.replace("SCRAM-SHA-", "scram_sha"));
    let variables = cluster.variables(consumer);
    assert!(variables.contains(word(asked, "/bootstrapServersFromEnv")));
    // Replicas that stand in the Deployment too would be set back whenever it is applied.
    assert!(consumer.0.pointer("/spec/replicas").is_none());

    let login = cluster.only("TriggerAuthentication");
    assert_eq!(word(trigger, "/authenticationRef/name"), word(login, "/metadata/name"));
    assert!(variables.contains(word(login, "/spec/env/0/name")));
    for container in [
        word(login, "/spec/env/0/containerName"),
        word(scaled, "/spec/scaleTargetRef/envSourceContainerName"),
    ] {
        assert_eq!(container, word(consumer.container(), "/name"));
    }
    let key = word(login, "/spec/secretTargetRef/0/key");
    assert!(config.secrets().iter().any(|path| path.ends_with(&format!("/{key}"))), "{key}");
}

#[test]
fn what_selects_pods_selects_some() {
    let cluster = Cluster::read();
    let workloads = cluster.workloads();
    let has =
        |labels: &Value, wanted: &Value| keys(wanted).iter().all(|key| labels.get(key) == wanted.get(key));
    for (name, workload) in &workloads {
        if let Some(own) = workload.0.pointer("/spec/selector/matchLabels") {
            assert!(has(workload.labels(), own), "{name} does not select its own pods");
        }
    }
    for resource in &cluster.resources {
        let what = format!("{} {}", word(resource, "/kind"), word(resource, "/metadata/name"));
        let selector = match word(resource, "/kind") {
            "Service" => resource.pointer("/spec/selector"),
            "PodDisruptionBudget" => resource.pointer("/spec/selector/matchLabels"),
            "NetworkPolicy" => resource.pointer("/spec/podSelector/matchLabels"),
            _ => None,
        };
        if let Some(wanted) = selector {
            assert!(
                workloads.values().any(|workload| has(workload.labels(), wanted)),
                "{what} selects nothing"
            );
        }
        for one in resource
            .pointer("/spec/podSelector/matchExpressions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            for value in words(at(one, "/values")) {
                let labels =
                    |workload: &Workload<'_>| workload.labels().get(word(one, "/key")) == Some(&value.into());
                assert!(workloads.values().any(labels), "{what}: no pod is a {value}");
            }
        }
    }
    let [budget] = cluster.of_kind("PodDisruptionBudget")[..] else { panic!("one budget") };
    let least = at(cluster.only("ScaledObject"), "/spec/minReplicaCount");
    assert!(at(budget, "/spec/maxUnavailable").as_u64() < least.as_u64(), "nobody may be left");
}
