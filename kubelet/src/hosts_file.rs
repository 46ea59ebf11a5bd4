//! A pod's `/etc/hosts`.

use std::fmt::Write as _;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::HostAlias;

const MANAGED: &str = "# Kubernetes-managed hosts file.\n\
    127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::0\tip6-localnet\n\
    fe00::0\tip6-mcastprefix\n\
    fe00::1\tip6-allnodes\n\
    fe00::2\tip6-allrouters\n";

/// The file of a pod with an address of its own.
pub fn of_pod(ip: IpAddr, hostname: &str, fqdn: Option<&str>, aliases: &[HostAlias]) -> String {
    let mut text = MANAGED.to_owned();
    // Writing to a String cannot fail.
    let _ = match fqdn {
        Some(fqdn) => writeln!(text, "{ip}\t{fqdn}\t{hostname}"),
        None => writeln!(text, "{ip}\t{hostname}"),
    };
    append_aliases(&mut text, aliases);
    text
}

/// The file of a pod in the node's network: the node's own, and the aliases.
pub fn of_host_network(node_hosts: &str, aliases: &[HostAlias]) -> String {
    let mut text = "# Kubernetes-managed hosts file (host network).\n".to_owned();
    text.push_str(node_hosts);
    append_aliases(&mut text, aliases);
    text
}

fn append_aliases(text: &mut String, aliases: &[HostAlias]) {
    if aliases.is_empty() {
        return;
    }
    text.push_str("\n# Entries added by HostAliases.\n");
    for alias in aliases {
        text.push_str(&alias.ip);
        for hostname in alias.hostnames.iter().flatten() {
            text.push('\t');
            text.push_str(hostname);
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subdomain_puts_the_full_name_first() {
        let text = of_pod(
            IpAddr::from([10, 1, 2, 3]),
            "hn",
            Some("hn.sub.ns.svc.x"),
            &[],
        );
        assert_eq!(text.lines().last(), Some("10.1.2.3\thn.sub.ns.svc.x\thn"));
    }

    #[test]
    fn aliases_follow_after_a_blank_line() {
        let alias = HostAlias {
            ip: "1.2.3.4".into(),
            hostnames: Some(vec!["a.b".into(), "c".into()]),
        };
        let text = of_host_network("127.0.0.1\tme\n", &[alias]);
        assert_eq!(
            text,
            "# Kubernetes-managed hosts file (host network).\n127.0.0.1\tme\n\n\
             # Entries added by HostAliases.\n1.2.3.4\ta.b\tc\n"
        );
    }
}
