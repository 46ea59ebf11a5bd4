use super::*;
use k8s_openapi::api::discovery::v1::EndpointConditions;

fn frame() -> Frame {
    Frame {
        namespace: "d".into(),
        generate_name: "s-".into(),
        labels: BTreeMap::from([("kubernetes.io/service-name".into(), "s".into())]),
        owner: OwnerReference::default(),
        address_type: "IPv4".into(),
    }
}

fn endpoint(number: usize, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![format!("10.0.{}.{}", number / 256, number % 256)],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            ..EndpointConditions::default()
        }),
        ..Endpoint::default()
    }
}

fn port(number: i32) -> EndpointPort {
    EndpointPort {
        port: Some(number),
        ..EndpointPort::default()
    }
}

fn group(numbers: impl Iterator<Item = usize>) -> Vec<Group> {
    vec![Group {
        ports: vec![port(80)],
        endpoints: numbers.map(|n| endpoint(n, true)).collect(),
    }]
}

/// What the API server would hold after the plan's writes.
fn stored(plan: Plan) -> Vec<Arc<EndpointSlice>> {
    assert!(plan.delete.is_empty());
    plan.create
        .into_iter()
        .chain(plan.update)
        .map(Arc::new)
        .collect()
}

fn sizes(slices: &[EndpointSlice]) -> Vec<usize> {
    slices
        .iter()
        .map(|s| s.endpoints.as_ref().unwrap().len())
        .collect()
}

#[test]
fn endpoints_are_cut_into_slices_of_a_hundred() {
    let plan = frame().plan(group(0..250), vec![]);
    assert_eq!(sizes(&plan.create), [100, 100, 50]);
    assert!(plan.update.is_empty() && plan.delete.is_empty());
}

#[test]
fn nothing_is_written_where_nothing_changed() {
    let have = stored(frame().plan(group(0..150), vec![]));
    let plan = frame().plan(group(0..150), have);
    assert!(plan.create.is_empty() && plan.update.is_empty() && plan.delete.is_empty());
}

#[test]
fn change_of_one_endpoint_writes_one_slice_in_place() {
    let have = stored(frame().plan(group(0..150), vec![]));
    let mut groups = group(0..150);
    groups[0].endpoints[7] = endpoint(7, false);
    let plan = frame().plan(groups, have);
    assert_eq!(sizes(&plan.update), [100]);
    assert!(plan.create.is_empty() && plan.delete.is_empty());
}

#[test]
fn new_endpoint_goes_where_there_is_room() {
    let have = stored(frame().plan(group(0..150), vec![]));
    let plan = frame().plan(group(0..151), have);
    assert_eq!(sizes(&plan.update), [51]);
    assert!(plan.create.is_empty() && plan.delete.is_empty());
}

#[test]
fn last_endpoint_gone_leaves_one_empty_slice_without_ports() {
    let have = stored(frame().plan(group(0..1), vec![]));
    let plan = frame().plan(group(0..0), have);
    assert_eq!(sizes(&plan.update), [0]);
    assert_eq!(plan.update[0].ports.as_deref(), Some(&[][..]));
    assert!(plan.create.is_empty() && plan.delete.is_empty());
}

#[test]
fn empty_slice_stays_as_it_is() {
    let have = stored(frame().plan(vec![], vec![]));
    assert_eq!(have.len(), 1);
    let plan = frame().plan(vec![], have);
    assert!(plan.create.is_empty() && plan.update.is_empty() && plan.delete.is_empty());
}

#[test]
fn empty_slice_is_used_for_the_first_endpoint() {
    let have = stored(frame().plan(vec![], vec![]));
    let plan = frame().plan(group(0..1), have);
    assert_eq!(sizes(&plan.update), [1]);
    assert!(plan.create.is_empty() && plan.delete.is_empty());
}

#[test]
fn pods_with_other_ports_have_slices_of_their_own() {
    let mut groups = group(0..2);
    groups.push(Group {
        ports: vec![port(81)],
        endpoints: vec![endpoint(9, true)],
    });
    let plan = frame().plan(groups, vec![]);
    assert_eq!(sizes(&plan.create), [2, 1]);
}

#[test]
fn slice_that_lost_all_its_endpoints_is_deleted_while_others_serve() {
    let have = stored(frame().plan(group(0..200), vec![]));
    let first: Vec<usize> = (0..200)
        .filter(|n| {
            let slice = have[0].endpoints.as_ref().unwrap();
            slice
                .iter()
                .any(|e| e.addresses == endpoint(*n, true).addresses)
        })
        .collect();
    let plan = frame().plan(group(first.into_iter()), have);
    assert_eq!(plan.delete.len(), 1);
    assert!(plan.create.is_empty() && plan.update.is_empty());
}

#[test]
fn changed_label_of_the_service_is_carried_over() {
    let have = stored(frame().plan(group(0..1), vec![]));
    let mut other = frame();
    other.labels.insert("a".into(), "b".into());
    let plan = other.plan(group(0..1), have);
    assert_eq!(plan.update[0].metadata.labels.as_ref().unwrap()["a"], "b");
}
