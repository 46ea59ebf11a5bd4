"""The Python client of Kubernetes, against the cluster of $KUBECONFIG.

Usage: python_client.py <image>
"""

import json
import pathlib
import sys
import threading
import time

from kubernetes import client, config, dynamic, stream, watch
from kubernetes.client.rest import ApiException

IMAGE = sys.argv[1]
CRD = json.loads((pathlib.Path(__file__).parent / "crontabs.json").read_text())
GROUP = "clients.example.com"


def step(text):
    print("python:", text, flush=True)


def fails(status, reason, call):
    """Runs what must fail so, and returns the Status."""
    try:
        call()
    except ApiException as error:
        body = json.loads(error.body)
        assert (error.status, body["reason"]) == (status, reason), body
        return body
    raise AssertionError(f"nothing failed; wanted {status} {reason}")


def wait_for(what, get, holds, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = get()
            if holds(found):
                return found
        except ApiException as error:
            if error.status != 404:
                raise
        time.sleep(0.1)
    raise AssertionError(f"waited in vain until {what}")


def objects(core, namespace):
    step("create, get, replace, patch in four ways, list in pages, delete")
    made = core.create_namespaced_config_map(
        namespace, {"metadata": {"name": "one", "labels": {"n": "1"}}, "data": {"a": "1"}})
    fails(409, "AlreadyExists",
          lambda: core.create_namespaced_config_map(namespace, {"metadata": {"name": "one"}}))
    made.data["b"] = "2"
    replaced = core.replace_namespaced_config_map("one", namespace, made)
    assert int(replaced.metadata.resource_version) > int(made.metadata.resource_version)
    fails(409, "Conflict", lambda: core.replace_namespaced_config_map("one", namespace, made))
    patched = core.patch_namespaced_config_map("one", namespace, [{"op": "remove", "path": "/data/a"}])
    assert patched.data == {"b": "2"}, patched.data
    patched = core.patch_namespaced_config_map("one", namespace, {"data": {"c": "3", "b": None}})
    assert patched.data == {"c": "3"}, patched.data
    for n in range(2, 8):
        core.create_namespaced_config_map(namespace, {"metadata": {"name": f"m{n}", "labels": {"n": str(n)}}})
    first = core.list_namespaced_config_map(namespace, limit=4, label_selector="n")
    rest = core.list_namespaced_config_map(namespace, limit=4, label_selector="n", _continue=first.metadata._continue)
    names = [item.metadata.name for item in first.items + rest.items]
    assert names == ["m2", "m3", "m4", "m5", "m6", "m7", "one"], names
    assert [item.metadata.name for item in core.list_namespaced_config_map(
        namespace, label_selector="n in (2,3)").items] == ["m2", "m3"]
    assert [item.metadata.name for item in core.list_namespaced_config_map(
        namespace, field_selector="metadata.name=m7").items] == ["m7"]
    core.delete_namespaced_config_map("m7", namespace)
    fails(404, "NotFound", lambda: core.read_namespaced_config_map("m7", namespace))
    core.delete_collection_namespaced_config_map(namespace, label_selector="n")
    left = core.list_namespaced_config_map(namespace, label_selector="n")
    assert left.items == [], left
    body = fails(422, "Invalid", lambda: core.create_namespaced_config_map(namespace, {"metadata": {"name": "No!"}}))
    assert body["details"]["causes"][0]["field"] == "metadata.name", body


def watching(core, namespace):
    step("watch from a version, and end by timeout")
    version = core.list_namespaced_secret(namespace).metadata.resource_version

    def write():
        core.create_namespaced_secret(namespace, {"metadata": {"name": "s"}, "stringData": {"k": "v"}})
        core.patch_namespaced_secret("s", namespace, {"metadata": {"labels": {"a": "b"}}})
        core.delete_namespaced_secret("s", namespace)

    writer = threading.Thread(target=write)
    writer.start()
    seen = [(event["type"], event["object"].metadata.name) for event in watch.Watch().stream(
        core.list_namespaced_secret, namespace, resource_version=version, timeout_seconds=3)]
    writer.join()
    assert seen == [("ADDED", "s"), ("MODIFIED", "s"), ("DELETED", "s")], seen


def pods(core, namespace):
    step("a pod: logs, exec, port-forward")
    serve = "mkdir /www; echo hello > /www/index.html; echo serving; exec httpd -f -p 8080 -h /www"
    core.create_namespaced_pod(namespace, {
        "metadata": {"name": "web"},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [
            {"name": "c", "image": IMAGE, "imagePullPolicy": "Never", "command": ["sh", "-c", serve]}]}})
    wait_for("the pod runs", lambda: core.read_namespaced_pod("web", namespace),
             lambda pod: pod.status.phase == "Running")
    wait_for("the pod has printed", lambda: core.read_namespaced_pod_log("web", namespace),
             lambda log: log == "serving\n")
    said = stream.stream(core.connect_get_namespaced_pod_exec, "web", namespace, command=["cat", "/www/index.html"],
                         stdout=True, stderr=True, stdin=False, tty=False)
    assert said == "hello\n", said
    shell = stream.stream(core.connect_get_namespaced_pod_exec, "web", namespace, command=["sh"],
                          stdout=True, stderr=True, stdin=True, tty=False, _preload_content=False)
    shell.write_stdin("echo to stderr >&2; exit 7\n")
    shell.run_forever(timeout=20)
    assert (shell.read_stderr(), shell.returncode) == ("to stderr\n", 7), shell.returncode
    forward = stream.portforward(core.connect_get_namespaced_pod_portforward, "web", namespace, ports="8080")
    socket = forward.socket(8080)
    socket.setblocking(True)
    socket.sendall(b"GET / HTTP/1.0\r\n\r\n")
    page = b""
    while part := socket.recv(4096):
        page += part
    assert page.endswith(b"hello\n"), page
    core.delete_namespaced_pod("web", namespace)
    wait_for("the pod is gone", lambda: core.list_namespaced_pod(namespace), lambda pods: not pods.items)


def deployments(apps, core, namespace):
    step("a Deployment: scale, roll out, delete")
    labels = {"app": "web"}
    container = {"name": "c", "image": IMAGE, "imagePullPolicy": "Never", "command": ["sleep", "3600"]}
    template = {"metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}}
    apps.create_namespaced_deployment(namespace, {
        "metadata": {"name": "web"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}})
    apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 2}})
    ready = lambda deployment: deployment.status.ready_replicas == 2 and \
        deployment.status.observed_generation == deployment.metadata.generation
    read = lambda: apps.read_namespaced_deployment("web", namespace)
    wait_for("two are ready", read, ready)
    apps.patch_namespaced_deployment("web", namespace, {"spec": {"template": {"spec": {
        "containers": [{"name": "c", "env": [{"name": "A", "value": "b"}]}]}}}})
    wait_for("two new are ready", read, lambda d: ready(d) and d.status.updated_replicas == 2)
    assert read().spec.template.spec.containers[0].command == ["sleep", "3600"]
    apps.delete_namespaced_deployment("web", namespace, propagation_policy="Foreground")
    wait_for("its pods are gone", lambda: core.list_namespaced_pod(namespace), lambda pods: not pods.items)


def custom(api_client, namespace):
    step("a CustomResourceDefinition and its objects")
    definitions, objects = client.ApiextensionsV1Api(api_client), client.CustomObjectsApi(api_client)
    definition = json.loads(json.dumps(CRD).replace("crontabs.clients", "pytabs.clients"))
    definition["spec"]["names"] = {"plural": "pytabs", "singular": "pytab", "kind": "PyTab"}
    definitions.create_custom_resource_definition(definition)
    name = definition["metadata"]["name"]
    wait_for("it is established", lambda: definitions.read_custom_resource_definition(name),
             lambda crd: any(c.type == "Established" and c.status == "True" for c in crd.status.conditions or []))
    where = (GROUP, "v1", namespace, "pytabs")
    body = {"apiVersion": f"{GROUP}/v1", "kind": "PyTab", "metadata": {"name": "x"}, "spec": {"cronSpec": "* * * * */5"}}
    made = objects.create_namespaced_custom_object(*where, body)
    assert made["spec"] == {"cronSpec": "* * * * */5", "image": "busybox", "replicas": 1, "maxReplicas": 5}, made
    invalid = dict(body, metadata={"name": "y"}, spec={"cronSpec": "x", "replicas": 99})
    causes = fails(422, "Invalid", lambda: objects.create_namespaced_custom_object(*where, invalid))["details"]["causes"]
    assert {cause["field"] for cause in causes} >= {"spec.cronSpec", "spec.replicas"}, causes
    body = fails(422, "Invalid", lambda: objects.patch_namespaced_custom_object(*where, "x", {"spec": {"replicas": 6}}))
    assert "more replicas than may be" in body["message"], body
    objects.patch_namespaced_custom_object_status(*where, "x", {"status": {"replicas": 1}, "spec": {"image": "no"}})
    read = objects.get_namespaced_custom_object(*where, "x")
    assert (read["status"], read["spec"]["image"]) == ({"replicas": 1}, "busybox"), read
    objects.patch_namespaced_custom_object_scale(*where, "x", {"spec": {"replicas": 3}})
    assert objects.get_namespaced_custom_object(*where, "x")["spec"]["replicas"] == 3
    definitions.delete_custom_resource_definition(name)
    wait_for("it is gone", definitions.list_custom_resource_definition,
             lambda all: name not in [crd.metadata.name for crd in all.items])


def applying(api_client, namespace):
    step("server-side apply through discovery")
    resources = dynamic.DynamicClient(api_client).resources
    services = resources.get(api_version="v1", kind="Service")
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": namespace},
            "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}
    services.server_side_apply(body=body, field_manager="one")
    body["spec"]["ports"][0]["targetPort"] = 8080
    conflict = None
    try:
        services.server_side_apply(body=dict(body, spec={"selector": {"a": "c"}}), field_manager="two")
    except dynamic.exceptions.ConflictError as error:
        conflict = json.loads(error.body)
    assert conflict["details"]["causes"][0]["field"] == ".spec.selector", conflict
    applied = services.server_side_apply(body=body, field_manager="one")
    assert applied.spec.ports[0].targetPort == 8080, applied


def main():
    config.load_kube_config()
    api_client = client.ApiClient()
    core = client.CoreV1Api(api_client)
    namespace = core.create_namespace({"metadata": {"generateName": "python-"}}).metadata.name
    wait_for("the service account is there", lambda: core.read_namespaced_service_account("default", namespace),
             lambda _: True)
    objects(core, namespace)
    watching(core, namespace)
    pods(core, namespace)
    deployments(client.AppsV1Api(api_client), core, namespace)
    applying(api_client, namespace)
    custom(api_client, namespace)
    core.delete_namespace(namespace)
    wait_for("the namespace is gone", core.list_namespace,
             lambda all: namespace not in [n.metadata.name for n in all.items])
    step("all done")


main()
