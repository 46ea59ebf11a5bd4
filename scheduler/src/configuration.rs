//! A `KubeSchedulerConfiguration`, as `kube-scheduler --config` reads it.

use std::time::Duration;

use k8s_openapi::api::core::v1::{NodeAffinity, TopologySpreadConstraint};
use serde::Deserialize;
use serde_json::Value;

use crate::plugins::ALL;
use crate::profile::{DefaultSpread, Profile};
use crate::queue::BackOff;
use crate::requests::Resource;
use crate::scoring::{Scoring, Strategy};

#[derive(Debug, Clone)]
pub struct Config {
    pub profiles: Vec<Profile>,
    pub back_off: BackOff,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profiles: vec![Profile::named("default-scheduler")],
            back_off: BackOff::default(),
        }
    }
}

/// Why a configuration cannot be used; whoever wrote it must mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read the scheduler configuration")]
    Syntax(#[source] serde_yaml::Error),
    #[error(
        "scheduler configuration is of kind {kind:?}, not KubeSchedulerConfiguration of kubescheduler.config.k8s.io/v1"
    )]
    Kind { kind: String },
    #[error("profile {profile}: there is no plugin {plugin}")]
    Plugin { profile: String, plugin: String },
    #[error("profile {profile}: arguments of {plugin}")]
    Arguments {
        profile: String,
        plugin: String,
        source: serde_json::Error,
    },
    #[error("profile {profile}: there is no scoring strategy {strategy}")]
    Strategy { profile: String, strategy: String },
    #[error("two profiles are named {name}")]
    Twice { name: String },
}

impl Config {
    /// # Errors
    /// What cannot be read, or names what there is not.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wire: Wire = serde_yaml::from_str(text).map_err(Error::Syntax)?;
        if wire.kind != "KubeSchedulerConfiguration" {
            return Err(Error::Kind { kind: wire.kind });
        }
        let mut config = Self {
            back_off: wire.back_off(),
            ..Self::default()
        };
        if !wire.profiles.is_empty() {
            config.profiles.clear();
        }
        for profile in &wire.profiles {
            let read = profile.read(wire.percentage_of_nodes_to_score)?;
            if config.profiles.iter().any(|known| known.name == read.name) {
                return Err(Error::Twice { name: read.name });
            }
            config.profiles.push(read);
        }
        Ok(config)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    kind: String,
    #[serde(default)]
    profiles: Vec<WireProfile>,
    pod_initial_backoff_seconds: Option<u64>,
    pod_max_backoff_seconds: Option<u64>,
    percentage_of_nodes_to_score: Option<usize>,
}

impl Wire {
    fn back_off(&self) -> BackOff {
        let default = BackOff::default();
        let seconds = |given: Option<u64>, default| given.map_or(default, Duration::from_secs);
        BackOff {
            first: seconds(self.pod_initial_backoff_seconds, default.first),
            longest: seconds(self.pod_max_backoff_seconds, default.longest),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireProfile {
    #[serde(default = "default_name")]
    scheduler_name: String,
    #[serde(default)]
    plugins: WirePlugins,
    #[serde(default)]
    plugin_config: Vec<WireArguments>,
    percentage_of_nodes_to_score: Option<usize>,
}

fn default_name() -> String {
    "default-scheduler".into()
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WirePlugins {
    multi_point: WireSet,
    filter: WireSet,
    score: WireSet,
    post_filter: WireSet,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireSet {
    enabled: Vec<WirePlugin>,
    disabled: Vec<WirePlugin>,
}

#[derive(Deserialize)]
struct WirePlugin {
    name: String,
    weight: Option<i64>,
}

#[derive(Deserialize)]
struct WireArguments {
    name: String,
    #[serde(default)]
    args: Value,
}

/// Plugins that this scheduler is made of, which no profile can do without.
const BUILT_IN: [&str; 6] = [
    "SchedulingGates",
    "PrioritySort",
    "NodeName",
    "DefaultBinder",
    "DynamicResources",
    PREEMPTION,
];
const PREEMPTION: &str = "DefaultPreemption";

impl WireSet {
    fn disables(&self, name: &str) -> bool {
        let mut disabled = self.disabled.iter();
        disabled.any(|plugin| plugin.name == name || plugin.name == "*")
    }

    fn enabled(&self, name: &str) -> Option<&WirePlugin> {
        self.enabled.iter().find(|plugin| plugin.name == name)
    }

    /// Of the plugin: off, on, or on with this weight.
    fn weight(&self, name: &str, before: Option<i64>, default: i64) -> Option<i64> {
        match self.enabled(name) {
            Some(plugin) => Some(plugin.weight.filter(|w| *w != 0).unwrap_or(default)),
            None if self.disables(name) => None,
            None => before,
        }
    }
}

impl WireProfile {
    fn read(&self, look_at: Option<usize>) -> Result<Profile, Error> {
        let mut profile = Profile::named(&self.scheduler_name);
        let given = self.percentage_of_nodes_to_score.or(look_at);
        profile.look_at = given.filter(|percent| *percent > 0);
        self.check_names()?;
        self.choose_plugins(&mut profile);
        for arguments in &self.plugin_config {
            self.read_arguments(arguments, &mut profile)?;
        }
        Ok(profile)
    }

    fn check_names(&self) -> Result<(), Error> {
        let plugins = &self.plugins;
        let sets = [
            &plugins.multi_point,
            &plugins.filter,
            &plugins.score,
            &plugins.post_filter,
        ];
        let named = sets.iter().flat_map(|set| set.enabled.iter());
        let named = named.map(|plugin| &plugin.name);
        let configured = self.plugin_config.iter().map(|arguments| &arguments.name);
        for name in named.chain(configured) {
            let is_known = BUILT_IN.contains(&name.as_str()) || ALL.iter().any(|p| p.name == *name);
            if !is_known {
                return Err(Error::Plugin {
                    profile: self.scheduler_name.clone(),
                    plugin: name.clone(),
                });
            }
        }
        Ok(())
    }

    fn choose_plugins(&self, profile: &mut Profile) {
        let plugins = &self.plugins;
        let all = |set: &WireSet, name: &str, weight: i64| {
            let on = plugins.multi_point.weight(name, Some(weight), weight);
            set.weight(name, on, weight)
        };
        profile
            .filters
            .retain(|at| all(&plugins.filter, ALL[*at].name, 1).is_some());
        let scores = std::mem::take(&mut profile.scores).into_iter();
        let kept = scores
            .filter_map(|(at, weight)| Some((at, all(&plugins.score, ALL[at].name, weight)?)));
        profile.scores = kept.collect();
        profile.preempts = all(&plugins.post_filter, PREEMPTION, 1).is_some();
    }

    fn read_arguments(&self, arguments: &WireArguments, into: &mut Profile) -> Result<(), Error> {
        let broken = |source| Error::Arguments {
            profile: self.scheduler_name.clone(),
            plugin: arguments.name.clone(),
            source,
        };
        let args = arguments.args.clone();
        match arguments.name.as_str() {
            "NodeResourcesFit" => {
                let read: FitArgs = serde_json::from_value(args).map_err(broken)?;
                if let Some(strategy) = read.scoring_strategy {
                    into.fit = self.scoring(strategy)?;
                }
            }
            "NodeResourcesBalancedAllocation" => {
                let read: BalancedArgs = serde_json::from_value(args).map_err(broken)?;
                let names = read.resources.iter().map(|r| Resource::of(&r.name));
                into.balanced = names.collect();
            }
            "InterPodAffinity" => {
                let read: InterPodArgs = serde_json::from_value(args).map_err(broken)?;
                into.hard_affinity_weight = read.hard_pod_affinity_weight.unwrap_or(1);
                into.ignore_preferred_of_others = read.ignore_preferred_terms_of_existing_pods;
            }
            "NodeAffinity" => {
                let read: NodeAffinityArgs = serde_json::from_value(args).map_err(broken)?;
                into.added_affinity = read.added_affinity;
            }
            "PodTopologySpread" => {
                let read: SpreadArgs = serde_json::from_value(args).map_err(broken)?;
                if read.defaulting_type.as_deref() == Some("List") {
                    into.spread = DefaultSpread::list(&read.default_constraints);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn scoring(&self, wire: WireStrategy) -> Result<Scoring, Error> {
        let strategy = match wire.type_.as_str() {
            "LeastAllocated" => Strategy::LeastAllocated,
            "MostAllocated" => Strategy::MostAllocated,
            "RequestedToCapacityRatio" => {
                let shape = wire.requested_to_capacity_ratio.shape.into_iter();
                Strategy::Ratio(shape.map(|p| (p.utilization, p.score)).collect())
            }
            other => {
                return Err(Error::Strategy {
                    profile: self.scheduler_name.clone(),
                    strategy: other.to_owned(),
                });
            }
        };
        let named = wire.resources.iter();
        let named = named.map(|r| {
            (
                Resource::of(&r.name),
                r.weight.filter(|w| *w > 0).unwrap_or(1),
            )
        });
        let resources: Vec<_> = named.collect();
        Ok(match resources.is_empty() {
            true => Scoring {
                strategy,
                ..Scoring::default()
            },
            false => Scoring {
                strategy,
                resources,
            },
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FitArgs {
    scoring_strategy: Option<WireStrategy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStrategy {
    #[serde(rename = "type")]
    type_: String,
    #[serde(default)]
    resources: Vec<WireResource>,
    #[serde(default)]
    requested_to_capacity_ratio: WireRatio,
}

#[derive(Deserialize)]
struct WireResource {
    name: String,
    weight: Option<i64>,
}

#[derive(Default, Deserialize)]
struct WireRatio {
    shape: Vec<WirePoint>,
}

#[derive(Deserialize)]
struct WirePoint {
    utilization: i64,
    score: i64,
}

#[derive(Deserialize)]
struct BalancedArgs {
    resources: Vec<WireResource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InterPodArgs {
    hard_pod_affinity_weight: Option<i64>,
    #[serde(default)]
    ignore_preferred_terms_of_existing_pods: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeAffinityArgs {
    added_affinity: Option<NodeAffinity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpreadArgs {
    #[serde(default)]
    default_constraints: Vec<TopologySpreadConstraint>,
    defaulting_type: Option<String>,
}

#[cfg(test)]
mod tests;
