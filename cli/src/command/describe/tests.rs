use serde_json::json;

use super::*;

#[test]
fn template_is_shown_as_rollout_history_shows_it() {
    let pod = json!({ "metadata": { "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "c", "image": "i:1", "command": ["sleep", "9"] }] } });
    let wanted = "\
Pod Template:
  Labels:  app=web
  Containers:
   c:
    Image:      i:1
    Port:       <none>
    Host Port:  <none>
    Command:
      sleep
      9
    Environment:   <none>
    Mounts:        <none>
  Volumes:         <none>
  Node-Selectors:  <none>
  Tolerations:     <none>
";
    assert_eq!(template(&pod), wanted);
}

#[test]
fn pod_that_nobody_placed_yet_is_described_without_a_node() {
    let pod = json!({ "metadata": { "name": "p", "namespace": "d" },
        "spec": { "containers": [{ "name": "c", "image": "i" }] }, "status": { "phase": "Pending", "qosClass": "BestEffort" } });
    let text = pod::describe(&pod).text();
    assert!(text.contains("Node:             <none>\n"), "{text}");
    assert!(text.contains("    State:          Waiting\n"), "{text}");
    assert!(text.ends_with("Tolerations:        <none>\n"), "{text}");
}

#[test]
fn service_counts_the_endpoints_that_do_not_fit() {
    let service = json!({ "metadata": { "name": "s" }, "spec": { "ports": [{ "port": 80, "targetPort": "web", "protocol": "TCP" }] } });
    let endpoint =
        |ip: &str, ready: bool| json!({ "addresses": [ip], "conditions": { "ready": ready } });
    let slice = json!({ "ports": [{ "port": 8080 }], "endpoints": [
        endpoint("1", true), endpoint("2", true), endpoint("3", false), endpoint("4", true), endpoint("5", true)] });
    let text = service::describe(&service, &[slice]).text();
    assert!(
        text.contains("1:8080,2:8080,4:8080 + 1 more...\n"),
        "{text}"
    );
}
