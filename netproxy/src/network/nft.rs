//! Masquerade, in an nftables table of our own, by netlink: no `nft` binary
//! is needed. The table is called like the bridge, so it is found again.
//!
//! As `nft list table ip skiff0` shows it:
//!
//! ```text
//! table ip skiff0 {
//!     chain postrouting {
//!         type nat hook postrouting priority srcnat; policy accept;
//!         ip saddr 10.244.0.0/24 ip daddr != 10.244.0.0/16 oifname != "skiff0" masquerade
//!     }
//! }
//! ```

mod expression;
mod message;

use ipnet::Ipv4Net;
use nix::errno::Errno;

use crate::{Error, Result};
use expression::{Address, Compare};
use message::{Attributes, Batch, Command, Flags};

const CHAIN: &str = "postrouting";
const REDIRECTS: &str = "prerouting";
const HOOK_PREROUTING: u32 = 0;
const HOOK_FORWARD: u32 = 2;
const HOOK_POSTROUTING: u32 = 4;
const PRIORITY_SRCNAT: u32 = 100;
const PRIORITY_DSTNAT: i32 = -100;
const POLICY_DROP: u32 = 0;
const POLICY_ACCEPT: u32 = 1;

// Attributes of linux/netfilter/nf_tables.h.
const TABLE_NAME: u16 = 1;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;

/// Replaces our table, in one transaction: there is no moment without it.
pub fn install(table: &str, pods: Ipv4Net, cluster: Ipv4Net) -> Result<()> {
    let mut batch = Batch::new();
    // Deleting a table that is not there fails, so make sure that it is.
    batch.push(Command::NewTable, Flags::Create, &table_named(table));
    batch.push(Command::DeleteTable, Flags::None, &table_named(table));
    batch.push(Command::NewTable, Flags::Create, &table_named(table));
    batch.push(Command::NewChain, Flags::Create, &chain(table));
    batch.push(Command::NewRule, Flags::Append, &rule(table, pods, cluster));
    let doing = "install the masquerade table";
    batch
        .commit()
        .map_err(|source| Error::Nftables { doing, source })
}

/// Leads TCP connections from `sources` to anywhere but `spared` to a port of this
/// machine, where the kernel tells who was meant (`SO_ORIGINAL_DST`).
///
/// What is bridged must be spared too: with br_netfilter it comes by here.
pub fn redirect_tcp(table: &str, sources: Ipv4Net, spared: &[Ipv4Net], port: u16) -> Result<()> {
    let hook = Attributes::new()
        .number(HOOK_NUMBER, HOOK_PREROUTING)
        .number(HOOK_PRIORITY, PRIORITY_DSTNAT.cast_unsigned());
    let chain = Attributes::new()
        .text(CHAIN_TABLE, table)
        .text(CHAIN_NAME, REDIRECTS)
        .nested(CHAIN_HOOK, &hook)
        .number(CHAIN_POLICY, POLICY_ACCEPT)
        .text(CHAIN_TYPE, "nat");
    let mut expressions = vec![expression::address(
        Address::Source,
        sources,
        Compare::Equal,
    )];
    expressions.extend(
        spared
            .iter()
            .map(|range| expression::address(Address::Destination, *range, Compare::NotEqual)),
    );
    expressions.extend([expression::is_tcp(), expression::redirect(port)]);
    let rule = Attributes::new()
        .text(RULE_TABLE, table)
        .text(RULE_CHAIN, REDIRECTS)
        .nested(
            RULE_EXPRESSIONS,
            &expression::list(expressions.into_iter().flatten()),
        );
    let mut batch = Batch::new();
    batch.push(Command::NewTable, Flags::Create, &table_named(table));
    batch.push(Command::NewChain, Flags::Create, &chain);
    batch.push(Command::NewRule, Flags::Append, &rule);
    let doing = "install the redirecting table";
    batch
        .commit()
        .map_err(|source| Error::Nftables { doing, source })
}

/// Deletes our table; none, or a kernel that knows no tables, is no error.
pub fn remove(table: &str) -> Result<()> {
    let mut batch = Batch::new();
    batch.push(Command::DeleteTable, Flags::None, &table_named(table));
    match batch.commit() {
        Ok(()) => Ok(()),
        Err(error) if is_absent(&error) => Ok(()),
        Err(source) => {
            let doing = "delete the masquerade table";
            Err(Error::Nftables { doing, source })
        }
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    let absent = [
        Errno::ENOENT,
        Errno::EOPNOTSUPP,
        Errno::EPROTONOSUPPORT,
        Errno::EINVAL,
    ];
    error
        .raw_os_error()
        .is_some_and(|code| absent.contains(&Errno::from_raw(code)))
}

/// Whether some IPv4 chain drops forwarded packets unless a rule accepts them.
pub fn drops_forwarded() -> Result<bool> {
    let doing = "list chains";
    let chains =
        message::dump(Command::GetChain).map_err(|source| Error::Nftables { doing, source })?;
    Ok(chains.iter().any(|chain| is_dropping_forward(chain)))
}

fn is_dropping_forward(chain: &[u8]) -> bool {
    let Some(hook) = message::attribute(chain, CHAIN_HOOK) else {
        return false;
    };
    message::number(hook, HOOK_NUMBER) == Some(HOOK_FORWARD)
        && message::number(chain, CHAIN_POLICY) == Some(POLICY_DROP)
}

fn table_named(name: &str) -> Attributes {
    Attributes::new().text(TABLE_NAME, name)
}

fn chain(table: &str) -> Attributes {
    let hook = Attributes::new()
        .number(HOOK_NUMBER, HOOK_POSTROUTING)
        .number(HOOK_PRIORITY, PRIORITY_SRCNAT);
    Attributes::new()
        .text(CHAIN_TABLE, table)
        .text(CHAIN_NAME, CHAIN)
        .nested(CHAIN_HOOK, &hook)
        .number(CHAIN_POLICY, POLICY_ACCEPT)
        .text(CHAIN_TYPE, "nat")
}

fn rule(table: &str, pods: Ipv4Net, cluster: Ipv4Net) -> Attributes {
    let expressions = [
        expression::address(Address::Source, pods, Compare::Equal),
        expression::address(Address::Destination, cluster, Compare::NotEqual),
        expression::leaves_not_by(table),
        vec![expression::masquerade()],
    ];
    Attributes::new()
        .text(RULE_TABLE, table)
        .text(RULE_CHAIN, CHAIN)
        .nested(
            RULE_EXPRESSIONS,
            &expression::list(expressions.into_iter().flatten()),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain_with(hook: u32, policy: u32) -> Vec<u8> {
        let hook = Attributes::new()
            .number(HOOK_PRIORITY, 0)
            .number(HOOK_NUMBER, hook);
        let chain = Attributes::new()
            .text(CHAIN_NAME, "FORWARD")
            .nested(CHAIN_HOOK, &hook);
        chain.number(CHAIN_POLICY, policy).into_bytes()
    }

    #[test]
    fn only_a_forward_chain_with_policy_drop_drops_forwarded_packets() {
        assert!(is_dropping_forward(&chain_with(HOOK_FORWARD, POLICY_DROP)));
        assert!(!is_dropping_forward(&chain_with(
            HOOK_FORWARD,
            POLICY_ACCEPT
        )));
        assert!(!is_dropping_forward(&chain_with(
            HOOK_POSTROUTING,
            POLICY_DROP
        )));
        let plain = Attributes::new().text(CHAIN_NAME, "called-by-others");
        assert!(!is_dropping_forward(&plain.into_bytes()));
    }
}
