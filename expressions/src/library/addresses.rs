//! `ip("10.0.0.1")` and `cidr("10.0.0.0/8")`.

use std::net::IpAddr;

use cel::common::types::{STRING_TYPE, Type};
use cel::common::value::CowVal;
use cel::{DeclarationError, Env, ExecutionError};
use ipnet::IpNet;

use super::args::{Args, arg, failure, global, member, of_bool, of_int, of_text, text};
use super::kinds::{self, named, opaque};

#[derive(Clone, Debug)]
struct Ip(IpAddr);

#[derive(Clone, Debug)]
struct Cidr(IpNet);

opaque!(Ip, kinds::IP, |a, b| a.0 == b.0);
opaque!(Cidr, kinds::CIDR, |a, b| a.0 == b.0);

const IP: Type = named(kinds::IP);
const CIDR: Type = named(kinds::CIDR);

pub fn register(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_type(IP)?;
    env.add_type(CIDR)?;
    ip_functions(env)?;
    cidr_functions(env)
}

fn ip_functions(env: &mut Env) -> Result<(), DeclarationError> {
    global(env, "ip", vec![STRING_TYPE], |args| {
        let ip = parse_ip(text(&args, 0)?).map_err(|why| failure("ip", why))?;
        Ok(CowVal::owned(Ip(ip)))
    })?;
    global(env, "isIP", vec![STRING_TYPE], |args| {
        of_bool(parse_ip(text(&args, 0)?).is_ok())
    })?;
    global(env, "ip.isCanonical", vec![STRING_TYPE], |args| {
        let written = text(&args, 0)?;
        let ip = parse_ip(written).map_err(|why| failure("ip.isCanonical", why))?;
        of_bool(ip.to_string() == written)
    })?;
    global(env, "string", vec![IP], |args| {
        of_text(ip(&args, 0)?.to_string())
    })?;
    member(env, "family", IP, vec![], |args| {
        of_int(if ip(&args, 0)?.is_ipv4() { 4 } else { 6 })
    })?;
    member(env, "isUnspecified", IP, vec![], |args| {
        of_bool(ip(&args, 0)?.is_unspecified())
    })?;
    member(env, "isLoopback", IP, vec![], |args| {
        of_bool(ip(&args, 0)?.is_loopback())
    })?;
    member(env, "isLinkLocalMulticast", IP, vec![], |args| {
        of_bool(match ip(&args, 0)? {
            IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
            IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
        })
    })?;
    member(env, "isLinkLocalUnicast", IP, vec![], |args| {
        of_bool(is_link_local(ip(&args, 0)?))
    })?;
    member(env, "isGlobalUnicast", IP, vec![], |args| {
        let ip = ip(&args, 0)?;
        let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        let special = ip.is_unspecified() || ip.is_loopback() || ip.is_multicast();
        of_bool(!broadcast && !special && !is_link_local(ip))
    })
}

fn cidr_functions(env: &mut Env) -> Result<(), DeclarationError> {
    global(env, "cidr", vec![STRING_TYPE], |args| {
        let net = parse_cidr(text(&args, 0)?).map_err(|why| failure("cidr", why))?;
        Ok(CowVal::owned(Cidr(net)))
    })?;
    global(env, "isCIDR", vec![STRING_TYPE], |args| {
        of_bool(parse_cidr(text(&args, 0)?).is_ok())
    })?;
    global(env, "string", vec![CIDR], |args| {
        of_text(cidr(&args, 0)?.to_string())
    })?;
    for of in [STRING_TYPE, IP] {
        member(env, "containsIP", CIDR, vec![of], |args| {
            let ip = match text(&args, 1) {
                Ok(text) => parse_ip(text).map_err(|why| failure("containsIP", why))?,
                Err(_) => ip(&args, 1)?,
            };
            of_bool(cidr(&args, 0)?.contains(&ip))
        })?;
    }
    for of in [STRING_TYPE, CIDR] {
        member(env, "containsCIDR", CIDR, vec![of], |args| {
            let inner = match text(&args, 1) {
                Ok(text) => parse_cidr(text).map_err(|why| failure("containsCIDR", why))?,
                Err(_) => cidr(&args, 1)?,
            };
            of_bool(cidr(&args, 0)?.contains(&inner.trunc()))
        })?;
    }
    member(env, "ip", CIDR, vec![], |args| {
        Ok(CowVal::owned(Ip(cidr(&args, 0)?.addr())))
    })?;
    member(env, "masked", CIDR, vec![], |args| {
        Ok(CowVal::owned(Cidr(cidr(&args, 0)?.trunc())))
    })?;
    member(env, "prefixLength", CIDR, vec![], |args| {
        of_int(i64::from(cidr(&args, 0)?.prefix_len()))
    })
}

fn ip(args: &Args<'_, '_>, place: usize) -> Result<IpAddr, ExecutionError> {
    arg::<Ip>(args, place).map(|ip| ip.0)
}

fn cidr(args: &Args<'_, '_>, place: usize) -> Result<IpNet, ExecutionError> {
    arg::<Cidr>(args, place).map(|net| net.0)
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    }
}

fn parse_ip(text: &str) -> Result<IpAddr, String> {
    if text.contains('%') {
        return Err("IP address with zone value is not allowed".to_owned());
    }
    let ip: IpAddr = text.parse().map_err(|_| {
        format!("IP Address {text:?} parse error during conversion from string: unable to parse IP")
    })?;
    if matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()) {
        return Err("IPv4-mapped IPv6 address is not allowed".to_owned());
    }
    Ok(ip)
}

fn parse_cidr(text: &str) -> Result<IpNet, String> {
    let failed = || {
        format!(
            "network address parse error during conversion from string: invalid CIDR address: {text}"
        )
    };
    let (address, length) = text.split_once('/').ok_or_else(failed)?;
    let address = parse_ip(address)?;
    let is_number = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    if !is_number || (length.len() > 1 && length.starts_with('0')) {
        return Err(failed());
    }
    let length = length.parse().map_err(|_| failed())?;
    IpNet::new(address, length).map_err(|_| failed())
}
