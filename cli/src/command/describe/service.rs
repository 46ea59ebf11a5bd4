use serde_json::Value;

use super::page::{Page, array, number, or, or_none, pairs, show, string};

/// Of this many endpoints all are shown; of more, the first few.
const FEW: usize = 3;

pub fn describe(service: &Value, slices: &[Value]) -> Page {
    let mut page = Page::default();
    let spec = &service["spec"];
    page.field(0, "Name", string(service, "/metadata/name"));
    page.field(0, "Namespace", string(service, "/metadata/namespace"));
    page.labels(0, "Labels", &service["metadata"]["labels"]);
    page.annotations(&service["metadata"]["annotations"]);
    page.field(0, "Selector", or_none(&pairs(&spec["selector"]).join(",")));
    page.field(0, "Type", string(spec, "/type"));
    page.field_if(0, "IP Family Policy", string(spec, "/ipFamilyPolicy"));
    let list = |field| {
        array(spec, field)
            .iter()
            .map(show)
            .collect::<Vec<_>>()
            .join(",")
    };
    page.field(0, "IP Families", or_none(&list("/ipFamilies")));
    page.field(0, "IP", string(spec, "/clusterIP"));
    page.field(0, "IPs", or_none(&list("/clusterIPs")));
    page.field_if(0, "External IPs", &list("/externalIPs"));
    page.field_if(
        0,
        "Desired LoadBalancer IP",
        string(spec, "/loadBalancerIP"),
    );
    page.field_if(0, "External Name", string(spec, "/externalName"));
    let ingress: Vec<&str> = array(service, "/status/loadBalancer/ingress")
        .iter()
        .map(|at| or(string(at, "/ip"), string(at, "/hostname")))
        .collect();
    page.field_if(0, "LoadBalancer Ingress", &ingress.join(", "));
    for port in array(spec, "/ports") {
        self::port(&mut page, port, slices);
    }
    page.field(0, "Session Affinity", string(spec, "/sessionAffinity"));
    page.field_if(
        0,
        "External Traffic Policy",
        string(spec, "/externalTrafficPolicy"),
    );
    page.field_if(
        0,
        "Internal Traffic Policy",
        string(spec, "/internalTrafficPolicy"),
    );
    page
}

fn port(page: &mut Page, port: &Value, slices: &[Value]) {
    let name = or(string(port, "/name"), "<unset>");
    let protocol = string(port, "/protocol");
    let numbered = |number: &str| format!("{name}\t{number}/{protocol}");
    page.field(0, "Port", &numbered(&show(&port["port"])));
    page.field(
        0,
        "TargetPort",
        &format!("{}/{protocol}", show(&port["targetPort"])),
    );
    if number(port, "/nodePort") > 0 {
        page.field(0, "NodePort", &numbered(&show(&port["nodePort"])));
    }
    page.field(0, "Endpoints", &endpoints(string(port, "/name"), slices));
}

/// `10.244.0.2:80,10.244.0.3:80 + 2 more...`
fn endpoints(port: &str, slices: &[Value]) -> String {
    let mut all = Vec::new();
    for slice in slices {
        for found in array(slice, "/ports")
            .iter()
            .filter(|p| string(p, "/name") == port)
        {
            for endpoint in array(slice, "/endpoints") {
                // What does not say that it is unready is ready.
                if endpoint["conditions"]["ready"] != false {
                    let addresses = array(endpoint, "/addresses").iter();
                    all.extend(addresses.map(|a| format!("{}:{}", show(a), show(&found["port"]))));
                }
            }
        }
    }
    if all.len() > FEW {
        return format!("{} + {} more...", all[..FEW].join(","), all.len() - FEW);
    }
    all.join(",")
}
