//! Volumes of pods, and where containers mount them.

use serde_json::{Value, json};

use super::change::Good;

fn refuses(rows: &[(Value, &[&str])]) {
    let pod = Good::new(
        "v1",
        "Pod",
        json!({"spec": {"serviceAccountName": "default", "containers": [{"name": "c", "image": "i:1"}]}}),
    );
    for (source, expected) in rows {
        let mut volume = json!({"name": "v"});
        super::change::merge(&mut volume, source.clone());
        let found = pod.errors(json!({"spec": {"volumes": [volume]}}));
        assert_eq!(&found, expected, "{source}");
    }
}

#[test]
fn every_source_has_what_it_needs() {
    refuses(&[
        (
            json!({"hostPath": {}}),
            &["spec.volumes[0].hostPath.path: Required value"],
        ),
        (
            json!({"hostPath": {"path": "/a", "type": "Door"}}),
            &[
                "spec.volumes[0].hostPath.type: Unsupported value: \"Door\": supported values: \"\", \"BlockDevice\", \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"",
            ],
        ),
        (
            json!({"emptyDir": {"sizeLimit": "-1"}}),
            &[
                "spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity",
            ],
        ),
        (
            json!({"secret": {}}),
            &["spec.volumes[0].secret.secretName: Required value"],
        ),
        (
            json!({"configMap": {"name": "m", "defaultMode": 512, "items": [{"key": "k", "path": "/x"}]}}),
            &[
                "spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
                "spec.volumes[0].configMap.items[0].path: Invalid value: \"/x\": must be a relative path",
            ],
        ),
        (
            json!({"persistentVolumeClaim": {}}),
            &["spec.volumes[0].persistentVolumeClaim.claimName: Required value"],
        ),
    ]);
}

#[test]
fn sources_on_the_network_are_named_in_full() {
    refuses(&[
        (
            json!({"nfs": {"server": "s", "path": "x"}}),
            &["spec.volumes[0].nfs.path: Invalid value: \"x\": must be an absolute path"],
        ),
        (
            json!({"iscsi": {"targetPortal": "p", "iqn": "iqn.x", "lun": 256}}),
            &[
                "spec.volumes[0].iscsi.iqn: Invalid value: \"iqn.x\": must be valid format",
                "spec.volumes[0].iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
            ],
        ),
        (
            json!({"fc": {"targetWWNs": ["w"]}}),
            &["spec.volumes[0].fc.lun: Required value: lun is required if targetWWNs is specified"],
        ),
        (
            json!({"csi": {"driver": "d_x"}}),
            &[
                "spec.volumes[0].csi.driver: Invalid value: \"d_x\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            ],
        ),
        (
            json!({"image": {}}),
            &["spec.volumes[0].image.reference: Required value"],
        ),
        (
            json!({"flexVolume": {"driver": "d", "options": {"kubernetes.io/x": "y"}}}),
            &[
                "spec.volumes[0].flexVolume.options[kubernetes.io/x]: Invalid value: \"kubernetes.io/x\": kubernetes.io and k8s.io namespaces are reserved",
            ],
        ),
    ]);
}

#[test]
fn an_ephemeral_volume_is_a_claim_without_a_name() {
    let claim =
        json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    refuses(&[
        (
            json!({"ephemeral": {}}),
            &["spec.volumes[0].ephemeral.volumeClaimTemplate: Required value"],
        ),
        (
            json!({"ephemeral": {"volumeClaimTemplate": {"metadata": {"name": "x"}, "spec": claim}}}),
            &[
                "spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set",
            ],
        ),
        (
            json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}}),
            &[
                "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value",
            ],
        ),
    ]);
}

#[test]
fn projected_files_have_one_source_each() {
    let sources = |sources: Value| json!({"projected": {"sources": sources}});
    refuses(&[
        (
            sources(json!([{"serviceAccountToken": {"path": "t", "expirationSeconds": 599}}])),
            &[
                "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
            ],
        ),
        (
            sources(json!([{"secret": {"name": "s"}, "configMap": {"name": "m"}}])),
            &[
                "spec.volumes[0].projected.sources[0]: Forbidden: may not specify more than 1 volume type per source",
            ],
        ),
        (
            sources(
                json!([{"secret": {"name": "s", "items": [{"key": "k", "path": "p"}]}},
                {"configMap": {"name": "m", "items": [{"key": "k", "path": "p"}]}}]),
            ),
            &["spec.volumes[0].projected: Invalid value: \"m\": conflicting duplicate paths"],
        ),
        (
            sources(json!([{"clusterTrustBundle": {"path": "ca.pem"}}])),
            &[
                "spec.volumes[0].projected.sources[0].clusterTrustBundle: Required value: either name or signerName must be specified",
            ],
        ),
        (
            json!({"downwardAPI": {"items": [{"path": "p"}]}}),
            &[
                "spec.volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required",
            ],
        ),
    ]);
}

#[test]
fn mounts_are_of_volumes_that_are_right_and_each_has_its_place() {
    let pod = Good::new(
        "v1",
        "Pod",
        json!({"spec": {"serviceAccountName": "default", "containers": [{"name": "c", "image": "i:1"}],
            "volumes": [{"name": "v"}, {"name": "w"}]}}),
    );
    let rows: [(Value, &[&str]); 6] = [
        (
            json!([{"name": "x", "mountPath": "/a"}]),
            &["spec.containers[0].volumeMounts[0].name: Not found: \"x\""],
        ),
        (
            json!([{"name": "v", "mountPath": "/a"}, {"name": "w", "mountPath": "/a"}]),
            &[
                "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
            ],
        ),
        (
            json!([{"name": "v", "mountPath": "/a", "subPath": "/b"}]),
            &[
                "spec.containers[0].volumeMounts.subPath: Invalid value: \"/b\": must be a relative path",
            ],
        ),
        (
            json!([{"name": "v", "mountPath": "/a", "subPath": "b", "subPathExpr": "$(C)"}]),
            &[
                "spec.containers[0].volumeMounts[0].subPathExpr: Invalid value: \"$(C)\": subPathExpr and subPath are mutually exclusive",
            ],
        ),
        (
            json!([{"name": "v", "mountPath": "/a", "mountPropagation": "Bidirectional"}]),
            &[
                "spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers",
            ],
        ),
        (
            json!([{"name": "v", "mountPath": "/a", "recursiveReadOnly": "Enabled"}]),
            &[
                "spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
            ],
        ),
    ];
    for (mounts, expected) in rows {
        let container = json!({"name": "c", "image": "i:1", "volumeMounts": mounts});
        let found = pod.errors(json!({"spec": {"containers": [container]}}));
        assert_eq!(found, expected, "{mounts}");
    }
}

#[test]
fn a_block_device_comes_from_a_claim() {
    let pod = Good::new(
        "v1",
        "Pod",
        json!({"spec": {"serviceAccountName": "default", "containers": [{"name": "c", "image": "i:1"}],
            "volumes": [{"name": "v"}]}}),
    );
    let container = json!({"name": "c", "image": "i:1", "volumeDevices": [{"name": "v", "devicePath": "/dev/../x"}]});
    assert_eq!(
        pod.errors(json!({"spec": {"containers": [container]}})),
        [
            "spec.containers[0].volumeDevices[0].name: Invalid value: \"v\": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
            "spec.containers[0].volumeDevices[0].devicePath: Invalid value: \"/dev/../x\": can not contain backsteps ('..')",
        ]
    );
}
