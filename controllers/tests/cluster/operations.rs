//! What the conformance suite does alike to objects of many kinds.

use http::Method;
use serde_json::{Value, json};

use crate::world::World;

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

fn has_condition(object: &Value, type_: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|c| c["type"] == type_))
}

impl World {
    /// Reads the object, changes it and writes it back, again where somebody
    /// else was faster; the answer.
    pub async fn update(&self, path: &str, change: impl Fn(&mut Value)) -> Value {
        self.until(&format!("an update of {path}"), async || {
            let mut object = self.find(path).await?;
            change(&mut object);
            let updated = self.ask(Method::PUT, path, object).await;
            assert!(
                updated["status"] != "Failure" || updated["code"] == 409,
                "update {path}: {updated}"
            );
            (updated["code"] != 409).then_some(updated)
        })
        .await
    }

    /// The status of a kind with conditions is read, updated and patched, and
    /// what was written is seen by whoever reads later.
    pub async fn status_is_read_updated_and_patched(&self, object: &str) {
        let path = format!("{object}/status");
        let condition = |type_: &str| json!({ "type": type_, "status": "True", "reason": "E2E", "message": "Set by a test" });
        let read = self.find(&path).await.unwrap();
        assert_eq!(name(&read), object.rsplit('/').next().unwrap());
        let add = |object: &mut Value| {
            let mut all = object["status"]["conditions"].take();
            match all.as_array_mut() {
                Some(all) => all.push(condition("StatusUpdate")),
                None => all = json!([condition("StatusUpdate")]),
            }
            object["status"]["conditions"] = all;
        };
        let updated = self.update(&path, add).await;
        assert!(has_condition(&updated, "StatusUpdate"), "{updated}");
        let read = self.find(object).await.unwrap();
        assert!(has_condition(&read, "StatusUpdate"), "{read}");
        let patch = json!({ "status": { "conditions": [condition("StatusPatched")] } });
        let patched = self.patch(&path, patch).await;
        assert!(has_condition(&patched, "StatusPatched"), "{patched}");
        assert!(!has_condition(&patched, "StatusUpdate"), "{patched}");
        let read = self.find(object).await.unwrap();
        assert!(has_condition(&read, "StatusPatched"), "{read}");
    }

    /// The scale of an object with one replica is read, updated and patched.
    pub async fn scale_is_read_updated_and_patched(&self, object: &str) {
        let path = format!("{object}/scale");
        let scale = self.find(&path).await.unwrap();
        assert_eq!(
            (&scale["spec"]["replicas"], &scale["status"]["replicas"]),
            (&json!(1), &json!(1))
        );
        let replicas = async || self.find(object).await.unwrap()["spec"]["replicas"].clone();
        let two = |scale: &mut Value| scale["spec"]["replicas"] = json!(2);
        let updated = self.update(&path, two).await;
        assert_eq!(updated["spec"]["replicas"], 2);
        assert_eq!(replicas().await, 2);
        let four = json!({ "spec": { "replicas": 4 } });
        let patched = self.patch(&path, four).await;
        assert_eq!(patched["spec"]["replicas"], 4);
        assert_eq!(replicas().await, 4);
    }

    /// Discovery tells of the group, its version and the kind.
    pub async fn is_discovered(&self, group: &str, version: &str, plural: &str) {
        let groups = self.find("/apis").await.unwrap();
        let of_name = |g: &&Value| g["name"] == group;
        let groups = groups["groups"].as_array().unwrap();
        let found = groups.iter().find(of_name).expect("the group is there");
        let preferred = format!("{group}/{version}");
        assert_eq!(found["preferredVersion"]["groupVersion"], *preferred);
        let group = self.find(&format!("/apis/{group}")).await.unwrap();
        let versions = group["versions"].as_array().unwrap();
        assert!(versions.iter().any(|v| v["version"] == version));
        let kinds = self.find(&format!("/apis/{preferred}")).await.unwrap();
        let kinds = kinds["resources"].as_array().unwrap();
        assert!(kinds.iter().any(|k| k["name"] == plural));
    }

    /// create, get, list, watch, patch, update, delete and deletecollection of
    /// what `make` makes by name in namespace `t`.
    pub async fn are_operated(&self, group_version: &str, plural: &str, make: fn(&str) -> Value) {
        let here = format!("/apis/{group_version}/namespaces/t/{plural}");
        let selected = "labelSelector=special%3Dyes";
        let mut watching = self.watch(&here, selected).await;
        let mut made = Vec::new();
        for name in ["a", "b", "c"] {
            let mut object = make(name);
            object["metadata"] = json!({ "name": name, "labels": { "special": "yes" } });
            made.push(self.create(&here, object).await);
            let seen = watching.until("ADDED", |_| true).await;
            assert_eq!(seen["metadata"]["name"], name);
        }
        let a = format!("{here}/a");
        let got = self.find(&a).await.unwrap();
        assert_eq!(got["metadata"]["uid"], made[0]["metadata"]["uid"]);
        let everywhere = format!("/apis/{group_version}/{plural}");
        for list in [&here, &everywhere] {
            let listed = self.list(&format!("{list}?{selected}")).await;
            let names: Vec<&str> = listed.iter().map(name).collect();
            assert_eq!(names, ["a", "b", "c"]);
        }

        let patch = json!({ "metadata": { "annotations": { "patched": "true" } } });
        let patched = self.patch(&a, patch).await;
        assert_eq!(patched["metadata"]["annotations"]["patched"], "true");
        let note =
            |object: &mut Value| object["metadata"]["annotations"]["updated"] = "true".into();
        let updated = self.update(&a, note).await;
        assert_eq!(updated["metadata"]["annotations"]["updated"], "true");
        for key in ["patched", "updated"] {
            let is_noted =
                |o: &Value| name(o) == "a" && o["metadata"]["annotations"][key] == "true";
            watching.until("MODIFIED", is_noted).await;
        }

        self.delete(&a, "Background").await;
        self.until_gone(&a).await;
        watching.until("DELETED", |o| name(o) == "a").await;
        assert_eq!(self.list(&format!("{here}?{selected}")).await.len(), 2);
        self.delete(&format!("{here}?{selected}"), "Background")
            .await;
        self.until("the end of the collection", async || {
            let left = self.list(&format!("{here}?{selected}")).await;
            left.is_empty().then_some(())
        })
        .await;
    }
}
