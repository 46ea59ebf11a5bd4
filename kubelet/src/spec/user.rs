//! Whom a container runs as: from the pod, the image, and the image's own
//! `/etc/passwd` and `/etc/group`.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{PodSecurityContext, SecurityContext};
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};

/// No account file is read further than this.
const MAX_FILE: u64 = 4 << 20;

/// A process's identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub home: String,
}

/// Why nobody can be found to run the container.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("container's runAsUser breaks non-root policy (pod: {pod:?}, container: {container})")]
    RunAsRoot { pod: String, container: String },
    #[error(
        "container has runAsNonRoot and image will run as root (pod: {pod:?}, container: {container})"
    )]
    ImageIsRoot { pod: String, container: String },
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root (pod: {pod:?}, container: {container})"
    )]
    NotNumeric {
        user: String,
        pod: String,
        container: String,
    },
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    #[error("{0} is no user or group id")]
    OutOfRange(i64),
}

/// The image's account files.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    /// Reads them from overlay layers, the lowest first.
    pub fn read(layers: &[PathBuf]) -> Self {
        Self {
            passwd: read_file(layers, "etc/passwd"),
            group: read_file(layers, "etc/group"),
        }
    }

    fn user(&self, wanted: impl Fn(&[&str]) -> bool) -> Option<Vec<&str>> {
        let lines = self
            .passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        lines
            .filter(|fields| fields.len() >= 6)
            .find(|fields| wanted(fields))
    }

    fn group(&self, name: &str) -> Option<u32> {
        let lines = self
            .group
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        lines
            .filter(|fields| fields.len() >= 3)
            .find(|f| f[0] == name)?[2]
            .parse()
            .ok()
    }

    fn groups_of(&self, user: &str) -> Vec<u32> {
        let lines = self
            .group
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let member =
            |fields: &Vec<&str>| fields.len() >= 4 && fields[3].split(',').any(|name| name == user);
        lines
            .filter(member)
            .filter_map(|fields| fields[2].parse().ok())
            .collect()
    }
}

/// The file in the topmost layer that has it; empty if none has.
fn read_file(layers: &[PathBuf], path: &str) -> String {
    let open = |layer: &PathBuf| open_in(layer, path);
    let Some(file) = layers.iter().rev().find_map(open) else {
        return String::new();
    };
    let mut bytes = Vec::new();
    match File::from(file).take(MAX_FILE).read_to_end(&mut bytes) {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => String::new(),
    }
}

/// Opens a regular file with the layer as its root, so no link leads out.
fn open_in(layer: &Path, path: &str) -> Option<OwnedFd> {
    let directory = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC);
    let root = openat2(AT_FDCWD, layer, directory).ok()?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file = openat2(&root, path, how).ok()?;
    let kind = nix::sys::stat::fstat(&file).ok()?.st_mode & nix::libc::S_IFMT;
    (kind == nix::libc::S_IFREG).then_some(file)
}

/// What decides who runs a container.
pub struct Question<'a> {
    /// `name_namespace(uid)`, for messages.
    pub pod: &'a str,
    pub container: &'a str,
    pub pod_context: Option<&'a PodSecurityContext>,
    pub context: Option<&'a SecurityContext>,
    /// `User` of the image's configuration.
    pub image_user: &'a str,
    pub accounts: &'a Accounts,
}

impl Question<'_> {
    /// # Errors
    /// A rule of the pod is broken, or a name is not in the image's files.
    pub fn answer(&self) -> Result<Identity, Problem> {
        let asked_user = self.either(|c| c.run_as_user, |p| p.run_as_user);
        let asked_group = self.either(|c| c.run_as_group, |p| p.run_as_group);
        let (image_user, image_group) = self
            .image_user
            .split_once(':')
            .unwrap_or((self.image_user, ""));
        self.check_non_root(asked_user, image_user)?;
        let user = asked_user
            .map(|uid| uid.to_string())
            .unwrap_or_else(|| image_user.to_owned());
        let (uid, entry) = self.find_user(&user)?;
        let own_group = entry
            .as_ref()
            .and_then(|fields| fields[3].parse().ok())
            .unwrap_or(0);
        let gid = match asked_group {
            Some(gid) => id(gid)?,
            None if asked_user.is_none() && !image_group.is_empty() => {
                self.find_group(image_group)?
            }
            None => own_group,
        };
        let name = entry.as_ref().map(|fields| fields[0]);
        let home = entry
            .as_ref()
            .map(|fields| fields[5])
            .filter(|home| !home.is_empty())
            .unwrap_or("/");
        Ok(Identity {
            uid,
            gid,
            groups: self.groups(gid, name)?,
            home: home.to_owned(),
        })
    }

    fn either<T>(
        &self,
        own: impl Fn(&SecurityContext) -> Option<T>,
        pod: impl Fn(&PodSecurityContext) -> Option<T>,
    ) -> Option<T> {
        self.context
            .and_then(own)
            .or_else(|| self.pod_context.and_then(pod))
    }

    fn check_non_root(&self, asked: Option<i64>, image_user: &str) -> Result<(), Problem> {
        if self.either(|c| c.run_as_non_root, |p| p.run_as_non_root) != Some(true) {
            return Ok(());
        }
        let (pod, container) = (self.pod.to_owned(), self.container.to_owned());
        match (asked, image_user.parse::<u32>()) {
            (Some(0), _) => Err(Problem::RunAsRoot { pod, container }),
            (Some(_), _) => Ok(()),
            (None, Ok(0)) => Err(Problem::ImageIsRoot { pod, container }),
            (None, Ok(_)) => Ok(()),
            (None, Err(_)) if image_user.is_empty() => Err(Problem::ImageIsRoot { pod, container }),
            (None, Err(_)) => Err(Problem::NotNumeric {
                user: image_user.to_owned(),
                pod,
                container,
            }),
        }
    }

    /// The id of a user given by id or name, and its line in the passwd file.
    fn find_user(&self, user: &str) -> Result<(u32, Option<Vec<&str>>), Problem> {
        let user = if user.is_empty() { "0" } else { user };
        if let Ok(uid) = user.parse::<i64>() {
            let uid = id(uid)?;
            return Ok((
                uid,
                self.accounts.user(|fields| fields[2].parse() == Ok(uid)),
            ));
        }
        let entry = self.accounts.user(|fields| fields[0] == user);
        let uid = entry.as_ref().and_then(|fields| fields[2].parse().ok());
        uid.map(|uid| (uid, entry))
            .ok_or_else(|| Problem::NoUser(user.to_owned()))
    }

    fn find_group(&self, group: &str) -> Result<u32, Problem> {
        if let Ok(gid) = group.parse::<i64>() {
            return id(gid);
        }
        let known = self.accounts.group(group);
        known.ok_or_else(|| Problem::NoGroup(group.to_owned()))
    }

    fn groups(&self, gid: u32, name: Option<&str>) -> Result<Vec<u32>, Problem> {
        let mut groups = vec![gid];
        let strict = self
            .pod_context
            .and_then(|p| p.supplemental_groups_policy.as_deref())
            == Some("Strict");
        if let Some(name) = name.filter(|_| !strict) {
            groups.extend(self.accounts.groups_of(name));
        }
        if let Some(context) = self.pod_context {
            let asked = context
                .supplemental_groups
                .iter()
                .flatten()
                .chain(&context.fs_group);
            for group in asked {
                groups.push(id(*group)?);
            }
        }
        groups.sort_unstable();
        groups.dedup();
        Ok(groups)
    }
}

/// An id of a user or group as Kubernetes allows it, up to 2^31-1: the very
/// last of 32 bits would mean "unchanged" to the kernel.
pub fn id(number: i64) -> Result<u32, Problem> {
    i32::try_from(number)
        .ok()
        .and_then(|number| u32::try_from(number).ok())
        .ok_or(Problem::OutOfRange(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask(
        pod: serde_json::Value,
        own: serde_json::Value,
        image_user: &str,
    ) -> Result<Identity, Problem> {
        let accounts = Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n".into(),
            group: "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n".into(),
        };
        let (pod_context, context) = (
            serde_json::from_value(pod).unwrap(),
            serde_json::from_value(own).unwrap(),
        );
        let question = Question {
            pod: "p_ns(u)",
            container: "c",
            pod_context: Some(&pod_context),
            context: Some(&context),
            image_user,
            accounts: &accounts,
        };
        question.answer()
    }

    fn ids(identity: Identity) -> (u32, u32, Vec<u32>) {
        (identity.uid, identity.gid, identity.groups)
    }

    #[test]
    fn a_known_user_brings_its_groups_and_home() {
        let found = ask(
            json!({"fsGroup": 3000, "supplementalGroups": [5000, 4000]}),
            json!({"runAsUser": 1000}),
            "",
        )
        .unwrap();
        assert_eq!(found.home, "/home");
        assert_eq!(ids(found), (1000, 1000, vec![1000, 2000, 3000, 4000, 5000]));
    }

    #[test]
    fn an_unknown_id_has_group_zero_unless_asked() {
        assert_eq!(
            ids(ask(json!({}), json!({"runAsUser": 7}), "").unwrap()),
            (7, 0, vec![0])
        );
        let both = json!({"runAsUser": 1234, "runAsGroup": 4321});
        assert_eq!(
            ids(ask(json!({}), both, "").unwrap()),
            (1234, 4321, vec![4321])
        );
    }

    #[test]
    fn the_images_user_and_group_count_when_the_pod_is_silent() {
        assert_eq!(
            ids(ask(json!({}), json!({}), "user:extra").unwrap()),
            (1000, 2000, vec![2000])
        );
        assert_eq!(
            ask(json!({}), json!({}), "nobody"),
            Err(Problem::NoUser("nobody".into()))
        );
    }

    #[test]
    fn ids_are_those_kubernetes_allows() {
        let most = i64::from(i32::MAX);
        let own = json!({"runAsUser": most, "runAsGroup": most});
        assert_eq!(ask(json!({}), own, "").unwrap().gid, i32::MAX as u32);
        for bad in [-1, most + 1, i64::from(u32::MAX), i64::MAX] {
            let refused = Err(Problem::OutOfRange(bad));
            assert_eq!(ask(json!({}), json!({"runAsUser": bad}), ""), refused);
            assert_eq!(ask(json!({}), json!({"runAsGroup": bad}), ""), refused);
            assert_eq!(ask(json!({"fsGroup": bad}), json!({}), ""), refused);
            let groups = json!({"supplementalGroups": [bad]});
            assert_eq!(ask(groups, json!({}), ""), refused);
            assert_eq!(ask(json!({}), json!({}), &format!("{bad}")), refused);
            assert_eq!(ask(json!({}), json!({}), &format!("1:{bad}")), refused);
        }
    }

    #[test]
    fn non_root_is_refused_in_kubernetes_words() {
        let message = |result: Result<Identity, Problem>| result.unwrap_err().to_string();
        let strict = || json!({"runAsNonRoot": true});
        assert_eq!(
            message(ask(json!({}), strict(), "")),
            "container has runAsNonRoot and image will run as root (pod: \"p_ns(u)\", container: c)"
        );
        assert!(message(ask(json!({}), strict(), "user")).contains("non-numeric user (user)"));
        assert!(
            message(ask(json!({"runAsUser": 0}), strict(), "")).contains("breaks non-root policy")
        );
        assert!(ask(strict(), json!({"runAsUser": 7}), "").is_ok());
    }
}
