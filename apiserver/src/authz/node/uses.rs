//! All that a pod's spec or a volume names.

use std::collections::HashSet;

use apimachinery::meta;
use serde_json::Value;

/// Where the kinds of volumes name a Secret of the pod's namespace.
const VOLUME_SECRETS: &[&str] = &[
    "azureFile.secretName",
    "cephfs.secretRef.name",
    "cinder.secretRef.name",
    "csi.nodePublishSecretRef.name",
    "flexVolume.secretRef.name",
    "iscsi.secretRef.name",
    "rbd.secretRef.name",
    "scaleIO.secretRef.name",
    "secret.secretName",
    "storageos.secretRef.name",
];

/// Where a PersistentVolume names a Secret, with its namespace beside it.
const PERSISTENT_SECRETS: &[&str] = &[
    "cephfs.secretRef",
    "cinder.secretRef",
    "csi.controllerExpandSecretRef",
    "csi.controllerPublishSecretRef",
    "csi.nodeExpandSecretRef",
    "csi.nodePublishSecretRef",
    "csi.nodeStageSecretRef",
    "flexVolume.secretRef",
    "iscsi.secretRef",
    "rbd.secretRef",
    "scaleIO.secretRef",
    "storageos.secretRef",
];

struct Found<'a> {
    namespace: &'a str,
    objects: HashSet<String>,
}

impl Found<'_> {
    fn add(&mut self, resource: &str, name: &str) {
        if !name.is_empty() {
            let namespace = self.namespace;
            self.objects
                .insert(format!("{resource}/{namespace}/{name}"));
        }
    }
}

/// `secrets/ns/name` and so on.
pub fn of_pod(pod: &Value) -> HashSet<String> {
    let mut found = Found {
        namespace: meta::namespace(pod),
        objects: HashSet::new(),
    };
    let spec = &pod["spec"];
    found.add("serviceaccounts", meta::text(spec, "serviceAccountName"));
    for secret in meta::items(spec, "imagePullSecrets") {
        found.add("secrets", meta::text(secret, "name"));
    }
    for volume in meta::items(spec, "volumes") {
        add_volume(&mut found, volume, meta::name(pod));
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in meta::items(spec, list) {
            add_environment(&mut found, container);
        }
    }
    for claim in meta::items(spec, "resourceClaims") {
        found.add("resourceclaims", meta::text(claim, "resourceClaimName"));
    }
    for claim in meta::items(pod, "status.resourceClaimStatuses") {
        found.add("resourceclaims", meta::text(claim, "resourceClaimName"));
    }
    let extended = meta::text(pod, "status.extendedResourceClaimStatus.resourceClaimName");
    found.add("resourceclaims", extended);
    found.objects
}

fn add_volume(found: &mut Found<'_>, volume: &Value, pod: &str) {
    for path in VOLUME_SECRETS {
        found.add("secrets", meta::text(volume, path));
    }
    found.add("configmaps", meta::text(volume, "configMap.name"));
    let claim = meta::text(volume, "persistentVolumeClaim.claimName");
    found.add("persistentvolumeclaims", claim);
    if meta::get(volume, "ephemeral").is_some() {
        let claim = format!("{pod}-{}", meta::text(volume, "name"));
        found.add("persistentvolumeclaims", &claim);
    }
    for source in meta::items(volume, "projected.sources") {
        found.add("secrets", meta::text(source, "secret.name"));
        found.add("configmaps", meta::text(source, "configMap.name"));
    }
}

fn add_environment(found: &mut Found<'_>, container: &Value) {
    for source in meta::items(container, "envFrom") {
        found.add("secrets", meta::text(source, "secretRef.name"));
        found.add("configmaps", meta::text(source, "configMapRef.name"));
    }
    for variable in meta::items(container, "env") {
        let secret = meta::text(variable, "valueFrom.secretKeyRef.name");
        found.add("secrets", secret);
        let map = meta::text(variable, "valueFrom.configMapKeyRef.name");
        found.add("configmaps", map);
    }
}

/// `ns/name`; where the volume names no namespace it is the claim's.
pub fn secrets_of_volume(volume: &Value, claim_namespace: &str) -> Vec<String> {
    let spec = &volume["spec"];
    let references = PERSISTENT_SECRETS
        .iter()
        .filter_map(|path| meta::get(spec, path));
    let mut found: Vec<String> = references
        .filter(|reference| !meta::text(reference, "name").is_empty())
        .map(|reference| {
            let namespace = match meta::text(reference, "namespace") {
                "" => claim_namespace,
                given => given,
            };
            format!("{namespace}/{}", meta::text(reference, "name"))
        })
        .collect();
    let azure = meta::text(spec, "azureFile.secretName");
    if !azure.is_empty() {
        let namespace = match meta::text(spec, "azureFile.secretNamespace") {
            "" => claim_namespace,
            given => given,
        };
        found.push(format!("{namespace}/{azure}"));
    }
    found
}
