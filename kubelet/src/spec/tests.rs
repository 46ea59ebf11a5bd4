use super::*;
use std::path::PathBuf;

fn image(config: Value) -> Image {
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "config": config});
    Image {
        id: "sha256:0000000000000000000000000000000000000000000000000000000000000000"
            .parse()
            .unwrap(),
        names: vec![],
        repo_digests: vec![],
        size: 0,
        is_pinned: false,
        config: serde_json::from_value(config).unwrap(),
        layers: vec![],
    }
}

fn make(container: Value, image: &Image, env: &[(&str, &str)]) -> Result<Spec, Problem> {
    let mut container = container;
    container["name"] = json!("c");
    let pod: PodSpec = serde_json::from_value(json!({"containers": [container]})).unwrap();
    let env = env
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    build(&Inputs {
        pod: &pod,
        container: &pod.containers[0],
        image,
        env: &env,
        hostname: "h",
        identity: &Identity {
            home: "/root".into(),
            ..Identity::default()
        },
        binds: &[],
        node: &NodeLimits {
            memory: 1 << 30,
            capabilities: u64::MAX,
            least_oom_score: -1000,
        },
        seccomp_dir: &PathBuf::from("/nonexistent"),
    })
}

fn args_of(container: Value) -> Vec<String> {
    let image = image(json!({"Entrypoint": ["/e"], "Cmd": ["c1"]}));
    let spec = make(container, &image, &[("X", "x y")]).unwrap();
    spec.process().as_ref().unwrap().args().clone().unwrap()
}

#[test]
fn commands_and_arguments_replace_the_images_as_in_kubernetes() {
    assert_eq!(args_of(json!({})), ["/e", "c1"]);
    assert_eq!(args_of(json!({"args": ["a"]})), ["/e", "a"]);
    assert_eq!(args_of(json!({"command": ["/c"]})), ["/c"]);
    assert_eq!(
        args_of(json!({"command": ["/c", "$(X)"], "args": ["$$(X)", "$(Y)"]})),
        ["/c", "x y", "$(X)", "$(Y)"]
    );
}

#[test]
fn a_container_without_any_command_is_refused() {
    let result = make(json!({}), &image(json!({})), &[]);
    assert_eq!(result.unwrap_err().to_string(), "no command specified");
}

#[test]
fn the_pods_variables_win_over_the_images() {
    let image = image(json!({"Env": ["PATH=/bin", "A=1", "B=2"], "Cmd": ["x"]}));
    let spec = make(json!({}), &image, &[("A", "pod")]).unwrap();
    let env = spec.process().as_ref().unwrap().env().clone().unwrap();
    assert_eq!(
        env,
        ["A=pod", "B=2", "HOME=/root", "HOSTNAME=h", "PATH=/bin"]
    );
}

#[test]
fn limits_become_cgroup_values() {
    let container = json!({"command": ["x"], "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "250m", "memory": "64Mi"}}});
    let spec = make(container, &image(json!({})), &[]).unwrap();
    let linux = serde_json::to_value(spec.linux()).unwrap();
    assert_eq!(
        linux["resources"]["cpu"],
        json!({"shares": 102, "quota": 25_000, "period": 100_000})
    );
    assert_eq!(linux["resources"]["memory"]["limit"], json!(67_108_864));
    assert_eq!(
        serde_json::to_value(spec.process()).unwrap()["oomScoreAdj"],
        json!(938)
    );
}

#[test]
fn privileged_containers_have_no_masks_and_see_the_nodes_devices() {
    let container = json!({"command": ["x"], "securityContext": {"privileged": true}});
    let linux =
        serde_json::to_value(make(container, &image(json!({})), &[]).unwrap().linux()).unwrap();
    assert_eq!(linux["maskedPaths"], json!([]));
    assert!(
        linux["devices"]
            .as_array()
            .unwrap()
            .iter()
            .any(|d| d["path"] == "/dev/null")
    );
}

#[test]
fn a_local_seccomp_profile_cannot_be_anywhere_else() {
    let profile = json!({"type": "Localhost", "localhostProfile": "../../etc/passwd"});
    let container = json!({"command": ["x"], "securityContext": {"seccompProfile": profile}});
    assert!(
        make(container, &image(json!({})), &[])
            .unwrap_err()
            .to_string()
            .contains("without ..")
    );
}

#[test]
fn only_unconfined_is_unconfined() {
    let seccomp = |kind: &str| {
        let profile = json!({"type": kind});
        let container = json!({"command": ["x"], "securityContext": {"seccompProfile": profile}});
        let spec = make(container, &image(json!({})), &[])?;
        Ok::<_, Problem>(spec.linux().as_ref().unwrap().seccomp().is_some())
    };
    assert!(seccomp("RuntimeDefault").unwrap());
    assert!(!seccomp("Unconfined").unwrap());
    for unknown in ["", "unconfined", "Runtime/Default"] {
        let refused = seccomp(unknown).unwrap_err();
        assert!(matches!(refused, Problem::SeccompType(kind) if kind == unknown));
    }
}
