//! The few nf_tables expressions that our rule is made of.

use ipnet::Ipv4Net;

use super::message::Attributes;

const REGISTER: u32 = 1;
const INTERFACE_NAME_LEN: usize = 16;

/// Which address of the packet.
#[derive(Clone, Copy)]
pub enum Address {
    Source = 12,
    Destination = 16,
}

/// How it must relate to what is given.
#[derive(Clone, Copy)]
pub enum Compare {
    Equal = 0,
    NotEqual = 1,
}

/// `ip saddr <range>` and its kin.
pub fn address(which: Address, range: Ipv4Net, compare: Compare) -> Vec<Attributes> {
    vec![
        load_network_header(which as u32, 4),
        mask(&range.netmask().octets()),
        compared(compare, &range.network().octets()),
    ]
}

/// `oifname != "<name>"`.
pub fn leaves_not_by(interface: &str) -> Vec<Attributes> {
    let mut name = interface.as_bytes().to_vec();
    name.resize(INTERFACE_NAME_LEN, 0);
    vec![
        load_output_interface_name(),
        compared(Compare::NotEqual, &name),
    ]
}

/// `masquerade`.
pub fn masquerade() -> Attributes {
    expression("masq", &Attributes::new())
}

/// `meta l4proto tcp`.
pub fn is_tcp() -> Vec<Attributes> {
    const PROTOCOL: u32 = 16;
    const TCP: u8 = 6;
    let data = Attributes::new().number(1, REGISTER).number(2, PROTOCOL);
    vec![expression("meta", &data), compared(Compare::Equal, &[TCP])]
}

/// `redirect to :<port>`.
pub fn redirect(port: u16) -> Vec<Attributes> {
    let number = Attributes::new()
        .number(1, REGISTER)
        .nested(2, &value(&port.to_be_bytes()));
    let data = Attributes::new().number(1, REGISTER);
    vec![expression("immediate", &number), expression("redir", &data)]
}

/// The expressions of a rule, as its attribute wants them.
pub fn list(expressions: impl Iterator<Item = Attributes>) -> Attributes {
    const ELEMENT: u16 = 1;
    expressions.fold(Attributes::new(), |list, next| list.nested(ELEMENT, &next))
}

fn load_network_header(offset: u32, length: u32) -> Attributes {
    const NETWORK_HEADER: u32 = 1;
    let data = Attributes::new()
        .number(1, REGISTER)
        .number(2, NETWORK_HEADER)
        .number(3, offset)
        .number(4, length);
    expression("payload", &data)
}

fn load_output_interface_name() -> Attributes {
    const OUTPUT_INTERFACE_NAME: u32 = 7;
    let data = Attributes::new()
        .number(1, REGISTER)
        .number(2, OUTPUT_INTERFACE_NAME);
    expression("meta", &data)
}

fn mask(mask: &[u8; 4]) -> Attributes {
    let data = Attributes::new()
        .number(1, REGISTER)
        .number(2, REGISTER)
        .number(3, 4)
        .nested(4, &value(mask))
        .nested(5, &value(&[0; 4]));
    expression("bitwise", &data)
}

fn compared(compare: Compare, with: &[u8]) -> Attributes {
    let data = Attributes::new()
        .number(1, REGISTER)
        .number(2, compare as u32)
        .nested(3, &value(with));
    expression("cmp", &data)
}

fn value(bytes: &[u8]) -> Attributes {
    const VALUE: u16 = 1;
    Attributes::new().bytes(VALUE, bytes)
}

fn expression(name: &str, data: &Attributes) -> Attributes {
    const NAME: u16 = 1;
    const DATA: u16 = 2;
    Attributes::new().text(NAME, name).nested(DATA, data)
}
