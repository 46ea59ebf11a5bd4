use super::{Context, Filter, Plugin, Prepared, Refusal, Supposed};
use crate::cache::NodeInfo;
use crate::happened::Happened;
use crate::object::pod_spec::Volume;
use crate::template::Template;

pub const PLUGIN: Plugin = Plugin {
    name: "VolumeRestrictions",
    weight: 0,
    prepare: Some(prepare),
    score: None,
    helps,
};

/// Claims that one pod may use at a time, and how many others do.
struct InUse<'a> {
    pod: &'a Template,
    claims: Vec<&'a str>,
    users: i64,
}

fn prepare(cx: Context<'_>) -> Prepared<'_> {
    let pod = &*cx.pod.template;
    let storage = &cx.cluster.storage;
    let exclusive = pod.spec.volumes.iter().filter_map(|volume| match volume {
        Volume::Claim { name } => {
            let claim = storage
                .claims
                .get(&crate::object::key(&pod.namespace, name))?;
            claim.is_for_one_pod().then_some(name.as_str())
        }
        // Nobody else has a volume that is named after the pod.
        Volume::Ephemeral { .. } => None,
    });
    let mut in_use = InUse {
        pod,
        claims: exclusive.collect(),
        users: 0,
    };
    if in_use.claims.is_empty() {
        return Prepared::Skip;
    }
    for class in cx.cluster.cache.classes.in_namespace(&pod.namespace) {
        let pods: i64 = class.nodes().map(|(_, count)| count.all).sum();
        in_use.users += pods * in_use.shared_with(&class.template);
    }
    Prepared::filter(in_use)
}

impl InUse<'_> {
    fn shared_with(&self, other: &Template) -> i64 {
        let volumes = other.spec.volumes.iter();
        let shared = volumes.filter(
            |v| matches!(v, Volume::Claim { name } if self.claims.contains(&name.as_str())),
        );
        i64::try_from(shared.count()).unwrap_or(i64::MAX)
    }
}

impl Filter for InUse<'_> {
    fn check(&self, _: &NodeInfo) -> Result<(), Refusal> {
        if self.users <= 0 {
            return Ok(());
        }
        Err(Refusal::passing(
            "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",
        ))
    }

    fn suppose(&mut self, supposed: &Supposed<'_>) {
        if supposed.template.namespace == self.pod.namespace {
            self.users += supposed.by * self.shared_with(supposed.template);
        }
    }
}

fn helps(happened: &Happened<'_>, pod: &Template) -> bool {
    match happened {
        Happened::PodLeft(left) => left.namespace == pod.namespace && !left.spec.volumes.is_empty(),
        Happened::Storage => true,
        _ => false,
    }
}
