use super::{Context, Plugin};
use crate::cache::NodeInfo;
use crate::happened::Happened;
use crate::template::Template;

pub const PLUGIN: Plugin = Plugin {
    name: "ImageLocality",
    weight: 1,
    prepare: None,
    score: Some(score),
    helps: never,
};

/// Below this an image is as good as absent, above the other as good as any.
const MIN: i64 = 23 * 1024 * 1024;
const MAX_PER_CONTAINER: i64 = 1000 * 1024 * 1024;

fn never(_: &Happened<'_>, _: &Template) -> bool {
    false
}

/// The more of the pod's images the node already has, by size, the better. An
/// image that few nodes have counts less, lest all of its pods go there.
fn score(cx: Context<'_>, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    let spec = &cx.pod.template.spec;
    let containers = spec.init_containers.iter().chain(&spec.containers);
    let names = containers.clone().filter_map(|c| c.image.as_deref());
    let total = i64::try_from(cx.cluster.cache.nodes().len()).unwrap_or(i64::MAX);
    let counted = names.map(normalized).filter_map(|name| {
        let nodes = cx.cluster.cache.nodes_with(&name);
        (nodes > 0).then_some((name, i64::from(nodes)))
    });
    let images: Vec<(String, i64)> = counted.collect();
    if images.is_empty() {
        return None;
    }
    let count = i64::try_from(containers.count().max(1)).unwrap_or(1);
    let max = MAX_PER_CONTAINER * count;
    let rate = |node: &&NodeInfo| {
        let sizes = images.iter().map(|(name, spread)| {
            let size = node.images.get(name.as_str()).copied().unwrap_or(0);
            size * spread / total.max(1)
        });
        100 * (sizes.sum::<i64>().clamp(MIN, max) - MIN) / (max - MIN)
    };
    Some(nodes.iter().map(rate).collect())
}

/// As nodes name their images: in full, with a tag.
fn normalized(name: &str) -> String {
    let after_host = name.rfind('/').map_or(0, |at| at + 1);
    let is_tagged = name[after_host..].contains([':', '@']);
    let tagged = if is_tagged {
        name.to_owned()
    } else {
        format!("{name}:latest")
    };
    match tagged.split_once('/') {
        None => format!("docker.io/library/{tagged}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => tagged,
        Some(_) => format!("docker.io/{tagged}"),
    }
}

#[cfg(test)]
mod tests {
    use super::normalized;

    #[test]
    fn image_names_are_compared_in_full() {
        let full = [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1", "docker.io/library/busybox:1"),
            ("a/b", "docker.io/a/b:latest"),
            ("host:5000/b", "host:5000/b:latest"),
            ("quay.io/b@sha256:1", "quay.io/b@sha256:1"),
        ];
        for (written, expected) in full {
            assert_eq!(normalized(written), expected);
        }
    }
}
