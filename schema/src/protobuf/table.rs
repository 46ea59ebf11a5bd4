//! The field numbers of Kubernetes' protobuf messages.

use std::collections::HashMap;
use std::sync::OnceLock;

/// One line a definition, without `io.k8s.`.
const TEXT: &str = include_str!("fields.txt");

pub(super) type Row = Vec<(u32, Target)>;

/// What a field number stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    /// The JSON field of that name.
    Field(&'static str),
    /// An embedded struct, whose definition this is.
    Embedded(&'static str),
}

/// The row of a definition (`io.k8s.api.core.v1.Pod`). Read on first use, which
/// many clusters never come to.
pub(super) fn row(definition: &str) -> Option<&'static Row> {
    static ROWS: OnceLock<HashMap<&str, Row>> = OnceLock::new();
    let rows = ROWS.get_or_init(|| TEXT.lines().filter_map(parse).collect());
    rows.get(definition.strip_prefix("io.k8s.").unwrap_or(definition))
}

fn parse(line: &'static str) -> Option<(&'static str, Row)> {
    let mut words = line.split(' ');
    let definition = words.next()?;
    let target = |word: &'static str| {
        let (name, number) = word.rsplit_once('=')?;
        let target = match name.strip_prefix('>') {
            Some(embedded) => Target::Embedded(embedded),
            None => Target::Field(name),
        };
        Some((number.parse().ok()?, target))
    };
    Some((definition, words.filter_map(target).collect()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::Node;

    /// What the newest schemas have and the table has no numbers of: all of it alpha,
    /// which no kubectl sets by itself.
    const NEWER: &[&str] = &[
        "io.k8s.api.authentication.v1.TokenRequestSpec attestations",
        "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerCondition observedGeneration",
        "io.k8s.api.batch.v1.JobSchedulingConfiguration disruptionMode",
        "io.k8s.api.batch.v1.JobSchedulingConfiguration resourceClaims",
        "io.k8s.api.batch.v1.JobSchedulingConfiguration schedulingConstraints",
        "io.k8s.api.batch.v1.JobSchedulingConfiguration schedulingPolicy",
        "io.k8s.api.batch.v1.JobSpec scheduling",
        "io.k8s.api.certificates.v1.PodCertificateRequestSpec stubPKCS10Request",
        "io.k8s.api.core.v1.ClusterTrustBundleProjection user",
        "io.k8s.api.core.v1.ConfigMapVolumeSource defaultUser",
        "io.k8s.api.core.v1.DownwardAPIVolumeFile user",
        "io.k8s.api.core.v1.DownwardAPIVolumeSource defaultUser",
        "io.k8s.api.core.v1.EmptyDirVolumeSource mode",
        "io.k8s.api.core.v1.EvictionResponder name",
        "io.k8s.api.core.v1.EvictionResponder priority",
        "io.k8s.api.core.v1.GRPCAction mode",
        "io.k8s.api.core.v1.HTTPGetAction protocol",
        "io.k8s.api.core.v1.ImageVolumeStatus imageRef",
        "io.k8s.api.core.v1.KeyToPath user",
        "io.k8s.api.core.v1.NodeAllocatableMappedResources name",
        "io.k8s.api.core.v1.NodeAllocatableMappedResources quantity",
        "io.k8s.api.core.v1.NodeAllocatableOverheadResources name",
        "io.k8s.api.core.v1.NodeAllocatableOverheadResources perContainer",
        "io.k8s.api.core.v1.NodeAllocatableOverheadResources perPod",
        "io.k8s.api.core.v1.NodeAllocatableResourceClaimStatus containers",
        "io.k8s.api.core.v1.NodeAllocatableResourceClaimStatus mapping",
        "io.k8s.api.core.v1.NodeAllocatableResourceClaimStatus overhead",
        "io.k8s.api.core.v1.NodeAllocatableResourceClaimStatus resourceClaimName",
        "io.k8s.api.core.v1.NodePodPreemptionPolicy disableResizePreemption",
        "io.k8s.api.core.v1.NodeSpec podPreemptionPolicy",
        "io.k8s.api.core.v1.NodeSystemInfo runningInUserNamespace",
        "io.k8s.api.core.v1.PersistentVolumeClaimStatus healthStatus",
        "io.k8s.api.core.v1.PodCertificateProjection user",
        "io.k8s.api.core.v1.PodSchedulingGroup podGroupName",
        "io.k8s.api.core.v1.PodSpec evictionResponders",
        "io.k8s.api.core.v1.PodSpec schedulingGroup",
        "io.k8s.api.core.v1.PodStatus nodeAllocatableResourceClaimStatuses",
        "io.k8s.api.core.v1.PodStatus volumeHealth",
        "io.k8s.api.core.v1.PodVolumeHealth healthConditions",
        "io.k8s.api.core.v1.PodVolumeHealth lastTransitionTime",
        "io.k8s.api.core.v1.PodVolumeHealth name",
        "io.k8s.api.core.v1.ProjectedVolumeSource defaultUser",
        "io.k8s.api.core.v1.ResourceHealth message",
        "io.k8s.api.core.v1.SecretVolumeSource defaultUser",
        "io.k8s.api.core.v1.ServiceAccountTokenProjection user",
        "io.k8s.api.core.v1.VolumeHealthCondition message",
        "io.k8s.api.core.v1.VolumeHealthCondition reason",
        "io.k8s.api.core.v1.VolumeHealthCondition status",
        "io.k8s.api.core.v1.VolumeHealthStatus healthConditions",
        "io.k8s.api.core.v1.VolumeHealthStatus lastTransitionTime",
        "io.k8s.api.core.v1.VolumeMount bindMountOptions",
        "io.k8s.api.core.v1.VolumeMountStatus volumeStatus",
        "io.k8s.api.core.v1.VolumeStatus image",
        "io.k8s.api.resource.v1.Device nodeAllocatableResources",
        "io.k8s.api.resource.v1.DeviceAttribute bools",
        "io.k8s.api.resource.v1.DeviceAttribute ints",
        "io.k8s.api.resource.v1.DeviceAttribute strings",
        "io.k8s.api.resource.v1.DeviceAttribute versions",
        "io.k8s.api.resource.v1.DeviceCounterConsumption compatibilityGroups",
        "io.k8s.api.resource.v1.DeviceDerivedAttribute expression",
        "io.k8s.api.resource.v1.DeviceDerivedAttribute name",
        "io.k8s.api.resource.v1.DeviceRequestAllocationResult skipNodeOperations",
        "io.k8s.api.resource.v1.DeviceSubRequest derivedAttributes",
        "io.k8s.api.resource.v1.ExactDeviceRequest derivedAttributes",
        "io.k8s.api.resource.v1.NodeAllocatableMapping capacityKey",
        "io.k8s.api.resource.v1.NodeAllocatableMapping capacityMultiplier",
        "io.k8s.api.resource.v1.NodeAllocatableMapping deviceMultiplier",
        "io.k8s.api.resource.v1.NodeAllocatableOverhead perContainer",
        "io.k8s.api.resource.v1.NodeAllocatableOverhead perPod",
        "io.k8s.api.resource.v1.NodeAllocatableResource mapping",
        "io.k8s.api.resource.v1.NodeAllocatableResource overhead",
        "io.k8s.api.resource.v1.ResourceSliceSpec partitionTypeAttribute",
        "io.k8s.api.resource.v1.ResourceSliceSpec skipNodeOperations",
        "io.k8s.api.scheduling.v1alpha3.TopologyConstraint key",
        "io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupDisruptionMode all",
        "io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupDisruptionMode single",
        "io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupGangSchedulingPolicy minCount",
        "io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupResourceClaim name",
        "io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupResourceClaim resourceClaimName",
        "io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupResourceClaim resourceClaimTemplateName",
        "io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupSchedulingConstraints topology",
        "io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupSchedulingPolicy basic",
        "io.k8s.api.scheduling.v1alpha3.WorkloadPodGroupSchedulingPolicy gang",
        "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta shardInfo",
        "io.k8s.apimachinery.pkg.apis.meta.v1.ShardInfo selector",
    ];

    #[test]
    fn every_row_is_read_whole_and_embedded_definitions_have_rows() {
        for line in TEXT.lines() {
            let (definition, row) = parse(line).expect("a row");
            assert_eq!(row.len(), line.split(' ').count() - 1, "{definition}");
            for (_, target) in row {
                if let Target::Embedded(embedded) = target {
                    assert!(super::row(embedded).is_some(), "{embedded}");
                }
            }
        }
    }

    /// The fields of the definition, of those it embeds too.
    fn numbered(definition: &str) -> Vec<&'static str> {
        let mut names = Vec::new();
        for (_, target) in row(definition).into_iter().flatten() {
            match target {
                Target::Field(name) => names.push(*name),
                Target::Embedded(embedded) => names.extend(numbered(embedded)),
            }
        }
        names
    }

    /// Adds the fields below the node that have no number.
    fn walk(node: &Node, seen: &mut HashSet<String>, lacking: &mut Vec<String>) {
        let object = match node {
            Node::Object(object) => object,
            Node::List(list) => return walk(&list.items, seen, lacking),
            Node::Map(map) => return walk(&map.values, seen, lacking),
            _ => return,
        };
        if !seen.insert(object.name().to_owned()) {
            return;
        }
        let names = numbered(object.name());
        // Those of whole objects are in the envelope.
        let is_whole = object.field("kind").is_some()
            && (object.field("metadata").is_some() || object.name().contains(".meta.v1."));
        for field in object.fields() {
            let is_type = matches!(&*field.name, "apiVersion" | "kind") && is_whole;
            if !is_type && !names.contains(&&*field.name) {
                lacking.push(format!("{} {}", object.name(), field.name));
            }
            walk(&field.node, seen, lacking);
        }
    }

    #[test]
    fn every_field_of_every_kind_has_a_number() {
        let (mut seen, mut lacking) = (HashSet::new(), Vec::new());
        for (group, version, kind) in crate::kinds() {
            let node = crate::of(group, version, kind).expect("built in");
            walk(node, &mut seen, &mut lacking);
        }
        lacking.sort();
        assert!(seen.len() > 450, "{}", seen.len());
        assert_eq!(lacking, NEWER);
    }
}
