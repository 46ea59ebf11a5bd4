use super::*;

fn parse(profiles: &str) -> Result<Config, Error> {
    Config::parse(&format!(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n{profiles}"
    ))
}

#[test]
fn profiles_choose_plugins_weights_and_arguments() {
    let config = parse(
        "podMaxBackoffSeconds: 20
profiles:
- schedulerName: packing
  plugins:
    multiPoint:
      disabled: [{name: PodTopologySpread}]
    score:
      disabled: [{name: '*'}]
      enabled: [{name: NodeResourcesFit, weight: 7}]
    postFilter:
      disabled: [{name: DefaultPreemption}]
  pluginConfig:
  - name: NodeResourcesFit
    args:
      scoringStrategy:
        type: MostAllocated
        resources: [{name: cpu, weight: 2}]
- schedulerName: default-scheduler
",
    )
    .unwrap();
    let packing = &config.profiles[0];
    let fit = ALL
        .iter()
        .position(|p| p.name == "NodeResourcesFit")
        .unwrap();
    let spread = ALL
        .iter()
        .position(|p| p.name == "PodTopologySpread")
        .unwrap();
    assert_eq!(packing.scores, [(fit, 7)]);
    assert!(!packing.filters.contains(&spread) && packing.filters.contains(&fit));
    assert!(!packing.preempts);
    assert!(matches!(packing.fit.strategy, Strategy::MostAllocated));
    assert_eq!(packing.fit.resources, [(Resource::Cpu, 2)]);
    assert_eq!(config.profiles[1].scores.len(), 7);
    assert_eq!(config.back_off.longest, Duration::from_secs(20));
}

#[test]
fn what_there_is_not_is_named() {
    let unknown = "profiles: [{plugins: {score: {enabled: [{name: Nonesuch}]}}}]";
    let error = parse(unknown).unwrap_err().to_string();
    assert_eq!(
        error,
        "profile default-scheduler: there is no plugin Nonesuch"
    );
    let twice = parse("profiles: [{schedulerName: a}, {schedulerName: a}]").unwrap_err();
    assert_eq!(twice.to_string(), "two profiles are named a");
    assert!(matches!(
        Config::parse("kind: Pod"),
        Err(Error::Kind { .. })
    ));
}
