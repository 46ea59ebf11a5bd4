//! Kubernetes' libraries.

use std::sync::Arc;

use expressions::{Authorizer, Budget, Check, Decision, Environment, Program, Type, Variables};

use crate::run::{check, fails, refused};

#[test]
fn strings() {
    check(&[
        "'abc'.charAt(1) == 'b' && 'abc'.indexOf('c') == 2 && 'abcabc'.lastIndexOf('a') == 3",
        "['a', 'b'].join('-') == 'a-b' && ['a', 'b'].join() == 'ab'",
        "'ABC'.lowerAscii() == 'abc' && 'abc'.upperAscii() == 'ABC'",
        "'a-b-c'.replace('-', '+') == 'a+b+c' && 'a-b-c'.replace('-', '+', 1) == 'a+b-c'",
        "'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c']",
        "'abc'.split('') == ['a', 'b', 'c'] && 'abc'.split('', 2) == ['a', 'bc']",
        "'a,b'.split(',', 0) == [] && 'a,b'.split(',', -1) == ['a', 'b']",
        "'hello'.substring(1) == 'ello' && 'hello'.substring(1, 3) == 'el'",
        "'  a '.trim() == 'a' && 'abc'.reverse() == 'cba'",
        "'%s is %d of %.2f'.format(['x', 1, 2.5]) == 'x is 1 of 2.50'",
        "strings.quote('a\"b') == '\"a\\\\\"b\"'",
        "object.spec.texts.join(',') == 'b,a'",
        "jsonpatch.escapeKey('a.b/c~d') == 'a.b~1c~0d'",
    ]);
}

#[test]
fn regular_expressions() {
    check(&[
        "'abc 123'.find('[0-9]+') == '123' && 'abc'.find('[0-9]+') == ''",
        "'1 2 3'.findAll('[0-9]') == ['1', '2', '3'] && '1 2 3'.findAll('[0-9]', 2) == ['1', '2']",
        "object.metadata.name.matches(object.metadata.labels.app)",
    ]);
    refused("'a'.matches('(')", "invalid matches argument");
    refused("'a'.find('[')", "invalid find argument");
    refused(
        "duration('1x') == duration('1s')",
        "invalid duration argument",
    );
    fails(
        "'a'.matches(dyn('(')) == true",
        "error parsing regexp: unclosed group",
    );
}

#[test]
fn lists_and_sets() {
    check(&[
        "[1, 2, 3].isSorted() && !['b', 'a'].isSorted() && [].isSorted()",
        "[1, 2, 3].sum() == 6 && [1.5, 2.5].sum() == 4.0 && [].sum() == 0",
        "[duration('1m'), duration('2m')].sum() == duration('3m')",
        "[3, 1, 2].min() == 1 && [3, 1, 2].max() == 3 && ['b', 'a'].min() == 'a'",
        "[1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2 && [1].indexOf(5) == -1",
        "[1, 2, 3].slice(1, 2) == [2] && [1, 1, 2].distinct() == [1, 2]",
        "[[1], [2]].flatten() == [1, 2] && [2, 1].sort() == [1, 2] && [1, 2].reverse() == [2, 1]",
        "lists.range(3) == [0, 1, 2] && [{'a': 2}, {'a': 1}].sortBy(e, e.a)[0].a == 1",
        "object.spec.texts.max() == 'b' && object.spec.texts.indexOf('a') == 1",
        "sets.contains([1, 2, 3], [1, 3]) && !sets.contains([1], [2])",
        "sets.equivalent([1, 2, 1], [2, 1]) && sets.intersects([1, 2], [2, 3])",
    ]);
    fails("[].min() == 1", "min called on empty list");
}

#[test]
fn quantities() {
    check(&[
        "quantity('1.5Gi').isGreaterThan(quantity('1Gi'))",
        "quantity('500m').compareTo(quantity('0.5')) == 0 && quantity('0.5') == quantity('500m')",
        "isQuantity('1k') && !isQuantity('1kk')",
        "quantity('1k').asInteger() == 1000 && quantity('1').add(quantity('1')).asInteger() == 2",
        "quantity('5').sub(2).asInteger() == 3 && quantity('-1').sign() == -1",
        "quantity('500m').asApproximateFloat() == 0.5 && !quantity('500m').isInteger()",
        "quantity('1').isLessThan(quantity('2'))",
    ]);
    fails(
        "quantity('500m').asInteger() == 0",
        "cannot convert value to integer",
    );
}

#[test]
fn addresses() {
    check(&[
        "isIP('10.0.0.1') && isIP('::1') && !isIP('10.0.0') && !isIP('010.0.0.1')",
        "!isIP('::ffff:1.2.3.4') && !isIP('fe80::1%eth0')",
        "ip('10.0.0.1').family() == 4 && ip('::1').isLoopback() && ip('0.0.0.0').isUnspecified()",
        "ip.isCanonical('::1') && !ip.isCanonical('0:0::1')",
        "ip('10.0.0.1') == ip('10.0.0.1') && string(ip('::0:1')) == '::1'",
        "ip('8.8.8.8').isGlobalUnicast() && !ip('224.0.0.1').isGlobalUnicast()",
        "ip('169.254.1.1').isLinkLocalUnicast() && ip('224.0.0.1').isLinkLocalMulticast()",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsIP(ip('10.1.1.1'))",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && !cidr('10.1.0.0/16').containsCIDR('10.0.0.0/8')",
        "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('10.1.2.3/8').prefixLength() == 8",
        "cidr('10.1.2.3/8').ip() == ip('10.1.2.3') && isCIDR('::/0') && !isCIDR('10.0.0.0/33')",
        "type(ip('::1')) == net.IP",
    ]);
}

#[test]
fn urls_formats_and_versions() {
    check(&[
        "url('https://a.b:80/c?d=e&d=f').getHost() == 'a.b:80'",
        "url('https://a.b:80/c?d=e').getHostname() == 'a.b' && url('https://a:80/').getPort() == '80'",
        "url('https://[::1]:80/').getHostname() == '::1' && url('https://a').getPort() == ''",
        "url('https://a/b c').getEscapedPath() == '/b%20c' && url('HTTPS://a').getScheme() == 'https'",
        "url('https://a/?d=e&d=f%20g').getQuery() == {'d': ['e', 'f g']}",
        "isURL('/absolute') && !isURL('relative')",
        "!format.dns1123Label().validate('ok-name').hasValue()",
        "format.dns1123Label().validate('Not_OK').value().size() == 1",
        "format.named('uuid').value().validate('x').hasValue() && !format.named('zzz').hasValue()",
        "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.2.3').minor() == 2",
        "semver('v01.2', true).compareTo(semver('1.2.0')) == 0 && !isSemver('v1') && isSemver('v1', true)",
    ]);
}

struct Known;

impl Authorizer for Known {
    fn check(&self, check: &Check) -> Decision {
        let path = check.path.as_deref() == Some("/healthz");
        let pods = check.resource == "pods" && check.namespace == "default";
        Decision {
            allowed: check.verb == "get" && (path || pods),
            reason: format!("{check}"),
            error: None,
        }
    }

    fn check_service_account(&self, namespace: &str, name: &str, check: &Check) -> Decision {
        let known = namespace == "default" && name == "builder";
        Decision {
            allowed: known && self.check(check).allowed,
            ..Decision::default()
        }
    }
}

#[test]
fn authorizers_are_asked() {
    let environment = Environment::new().with_authorizer();
    for source in [
        "authorizer.path('/healthz').check('get').allowed()",
        "!authorizer.path('/healthz').check('post').allowed()",
        "authorizer.group('').resource('pods').namespace('default').check('get').allowed()",
        "authorizer.serviceAccount('default', 'builder').group('').resource('pods').namespace('default').check('get').allowed()",
        "authorizer.requestResource.check('get').allowed()",
        "authorizer.requestResource.check('list').reason() == 'list pods.'",
    ] {
        let program = Program::compile(source, &environment).expect(source);
        let mut variables = Variables::new();
        let request = Check {
            resource: "pods".to_owned(),
            namespace: "default".to_owned(),
            ..Check::default()
        };
        variables.bind_authorizer(Arc::new(Known), request);
        let outcome = program.evaluate_bool(&mut variables, &mut Budget::default());
        assert_eq!(outcome, Ok(true), "{source}");
    }
    let environment = Environment::new().with("object", Type::Dyn);
    let missing = Program::compile("authorizer.path('/').check('get').allowed()", &environment);
    assert!(missing.is_err());
}
