//! Six machines with a part each, one of which is always having a bad time.

use std::time::{Duration, Instant};

use e2e::{Etcd, HollowNodes, Machine, Network, Skiff, run, until};
use nix::sys::signal::{Signal, kill};

use crate::dice::Dice;

/// A machine with two cores may have more to do than this.
const PATIENCE: Duration = Duration::from_secs(180);
/// Longer than a leader's Lease lasts.
const LONG: u64 = 20;
const NODES: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Etcd(usize),
    Server(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    Killed,
    Paused,
    CutOff,
}

/// What happens to whom, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub part: Part,
    pub harm: Harm,
    pub lasts: Duration,
}

/// Who is where; the last machine is the clients'.
pub struct Ground {
    pub network: Network,
    pub machines: Vec<Machine>,
}

pub struct World<'g> {
    ground: &'g Ground,
    // Whoever needs another ends first.
    _nodes: Vec<HollowNodes>,
    pub servers: Vec<Skiff<'g>>,
    pub etcds: Vec<Etcd>,
}

impl Ground {
    pub fn new() -> Self {
        let mut network = Network::new();
        let machines = (0..7).map(|_| network.machine()).collect();
        Self { network, machines }
    }

    fn machine(&self, part: Part) -> &Machine {
        match part {
            Part::Etcd(at) => &self.machines[at],
            Part::Server(at) => &self.machines[3 + at],
        }
    }

    pub fn clients(&self) -> &Machine {
        &self.machines[6]
    }

    /// Where the servers answer.
    pub fn urls(&self) -> Vec<String> {
        let servers = self.machines[3..6].iter();
        servers
            .map(|machine| format!("https://{}:6443", machine.ip))
            .collect()
    }
}

impl<'g> World<'g> {
    pub fn new(ground: &'g Ground) -> Self {
        let machines: Vec<&Machine> = ground.machines[..3].iter().collect();
        let etcds = Etcd::of_members(&machines);
        let mut world = Self {
            ground,
            etcds,
            servers: Vec::new(),
            _nodes: Vec::new(),
        };
        for at in 0..3 {
            until("etcd answers", PATIENCE, || {
                world.is_well(Part::Etcd(at)).then_some(())
            });
        }
        for at in 0..3 {
            let machine = ground.machine(Part::Server(at));
            // Each begins with another member.
            let mut urls: Vec<&str> = world.etcds.iter().map(|etcd| &*etcd.url).collect();
            urls.rotate_left(at);
            let urls = urls.join(",");
            let flags = ["--datastore-endpoints", urls.as_str()];
            let server = match world.servers.first() {
                None => Skiff::server(machine, &flags),
                Some(first) => Skiff::server_beside(first, machine, &flags),
            };
            let name = format!("n{at}-");
            world
                ._nodes
                .push(HollowNodes::named(&name, machine, &server, NODES));
            world.servers.push(server);
        }
        world
    }

    /// Harms one part after another until `end`; answers what was done.
    pub fn play(&mut self, dice: &mut Dice, end: Instant) -> Vec<Fault> {
        let mut played = Vec::new();
        let mut turns = Vec::new();
        while Instant::now() < end {
            if turns.is_empty() {
                turns = all_turns();
                dice.shuffle(&mut turns);
            }
            let (part, harm) = turns.pop().expect("there are turns");
            let short = 2 + dice.below(5) as u64;
            let lasts = if dice.below(4) == 0 { LONG } else { short };
            let fault = Fault {
                part,
                harm,
                lasts: Duration::from_secs(lasts),
            };
            println!("{fault:?}");
            self.harm(fault);
            std::thread::sleep(fault.lasts);
            self.heal(fault);
            self.wait_until_well();
            played.push(fault);
            std::thread::sleep(Duration::from_secs(1));
        }
        played
    }

    fn harm(&mut self, fault: Fault) {
        match (fault.harm, fault.part) {
            (Harm::Killed, Part::Etcd(at)) => self.etcds[at].kill(),
            (Harm::Killed, Part::Server(at)) => self.servers[at].kill(),
            (Harm::Paused, Part::Etcd(at)) => self.etcds[at].pause(),
            (Harm::Paused, Part::Server(at)) => self.signal(at, Signal::SIGSTOP),
            (Harm::CutOff, part) => self.ground.network.unplug(self.ground.machine(part)),
        }
    }

    fn heal(&mut self, fault: Fault) {
        match (fault.harm, fault.part) {
            (Harm::Killed, Part::Etcd(at)) => self.etcds[at].start(),
            (Harm::Killed, Part::Server(at)) => self.servers[at].start(),
            (Harm::Paused, Part::Etcd(at)) => self.etcds[at].go_on(),
            (Harm::Paused, Part::Server(at)) => self.signal(at, Signal::SIGCONT),
            (Harm::CutOff, part) => self.ground.network.plug_in(self.ground.machine(part)),
        }
    }

    fn signal(&self, at: usize, signal: Signal) {
        kill(self.servers[at].pid(), signal).expect("signal a process of our own");
    }

    /// Only one part is ever in trouble: the next turn waits for the last.
    pub fn wait_until_well(&self) {
        let parts = (0..3).flat_map(|at| [Part::Etcd(at), Part::Server(at)]);
        for part in parts {
            until(&format!("{part:?} is well"), PATIENCE, || {
                self.is_well(part).then_some(())
            });
        }
    }

    fn is_well(&self, part: Part) -> bool {
        match part {
            Part::Etcd(at) => {
                let mut command = self.ground.clients().command("curl");
                let url = format!("{}/health", self.etcds[at].url);
                let answer = run::output(command.args(["-sS", "--max-time", "3", &url]));
                String::from_utf8_lossy(&answer.stdout).contains(r#""health":"true""#)
            }
            Part::Server(at) => {
                let kubectl = self.servers[at].kubectl();
                let asked = ["get", "--raw", "/readyz", "--request-timeout=5s"];
                run::output(&mut kubectl.command(&asked)).status.success()
            }
        }
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        // What a failed test left paused or cut off could not be ended.
        for machine in &self.ground.machines {
            self.ground.network.plug_in(machine);
        }
        for etcd in &self.etcds {
            etcd.go_on();
            if std::thread::panicking() {
                println!("--- etcd's log\n{}", etcd.log());
            }
        }
        for server in &self.servers {
            let _ = kill(server.pid(), Signal::SIGCONT);
        }
    }
}

fn all_turns() -> Vec<(Part, Harm)> {
    let parts = (0..3).flat_map(|at| [Part::Etcd(at), Part::Server(at)]);
    let harms = [Harm::Killed, Harm::Paused, Harm::CutOff];
    parts
        .flat_map(|part| harms.map(|harm| (part, harm)))
        .collect()
}
