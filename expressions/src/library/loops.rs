//! Loops with two variables: `list.all(i, x, ...)`, `map.transformMap(k, v, ...)`.
//!
//! The interpreter binds one variable a loop: these go through pairs, and name the halves.

use std::collections::HashMap;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, Expr, IdedExpr, ListExpr, LiteralValue, operators,
};
use cel::common::types::{CelInt, CelList, CelMap, CelMapKey, DYN_TYPE, LIST_TYPE};
use cel::common::value::{CowVal, Val};
use cel::parser::{Macro, MacroExprHelper, ParseError};
use cel::{DeclarationError, Env};

use super::args::{Args, Outcome, elements, failure, global, of_list};
use super::names::{ENTRIES, KEY, MAP_OF_PAIRS, MERGED, VALUE};
use crate::meter::charge;
use crate::value::size::charge_copy;

/// The pair a loop is at, and what it has come to.
const PAIR: &str = "@pair";
const RESULT: &str = "@result";

pub fn register(env: &mut Env) -> Result<(), DeclarationError> {
    global(env, ENTRIES, vec![DYN_TYPE], entries)?;
    global(env, KEY, vec![LIST_TYPE], |args| half(args, 0))?;
    global(env, VALUE, vec![LIST_TYPE], |args| half(args, 1))?;
    global(env, MAP_OF_PAIRS, vec![LIST_TYPE], map_of_pairs)?;
    global(env, MERGED, vec![LIST_TYPE], merged)?;
    for (name, kind) in [("all", Fold::All), ("exists", Fold::Exists)] {
        env.add_macro(Macro::receiver(name, 3, move |helper, target, args| {
            Ok(Some(Pairs::of(helper, target, args)?.fold(kind)))
        }))?;
    }
    for name in ["exists_one", "existsOne"] {
        env.add_macro(Macro::receiver(name, 3, |helper, target, args| {
            Ok(Some(Pairs::of(helper, target, args)?.exactly_one()))
        }))?;
    }
    let transforms = [
        ("transformList", None),
        ("transformMap", Some(MAP_OF_PAIRS)),
        ("transformMapEntry", Some(MERGED)),
    ];
    for (name, wrap) in transforms {
        for count in [3, 4] {
            env.add_macro(Macro::receiver(name, count, move |helper, target, args| {
                Ok(Some(Pairs::of(helper, target, args)?.gather(wrap)))
            }))?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Fold {
    All,
    Exists,
}

/// A loop with two variables as it was written.
struct Pairs<'h, 'p> {
    helper: &'h mut MacroExprHelper<'p>,
    range: IdedExpr,
    key: String,
    value: String,
    filter: Option<IdedExpr>,
    body: IdedExpr,
}

impl<'h, 'p> Pairs<'h, 'p> {
    fn of(
        helper: &'h mut MacroExprHelper<'p>,
        target: &mut Option<IdedExpr>,
        args: &mut Vec<IdedExpr>,
    ) -> Result<Self, ParseError> {
        let mut names = Vec::new();
        for arg in &args[..2] {
            match &arg.expr {
                Expr::Ident(name) => names.push(name.clone()),
                _ => return Err(helper.new_error(arg.id, "argument must be a simple name")),
            }
        }
        let mut rest = std::mem::take(args).into_iter().skip(2);
        let first = rest.next().unwrap_or_default();
        let (filter, body) = match rest.next() {
            Some(body) => (Some(first), body),
            None => (None, first),
        };
        let [key, value] = [0, 1].map(|place: usize| names[place].clone());
        Ok(Self {
            range: target.take().unwrap_or_default(),
            helper,
            key,
            value,
            filter,
            body,
        })
    }

    fn node(&mut self, expr: Expr) -> IdedExpr {
        self.helper.next_expr(expr)
    }

    fn ident(&mut self, name: &str) -> IdedExpr {
        self.node(Expr::Ident(name.to_owned()))
    }

    fn truth(&mut self, truth: bool) -> IdedExpr {
        self.node(Expr::Literal(LiteralValue::Boolean(truth.into())))
    }

    fn call(&mut self, name: &str, args: Vec<IdedExpr>) -> IdedExpr {
        self.node(Expr::Call(CallExpr {
            func_name: name.to_owned(),
            target: None,
            args,
        }))
    }

    /// `body` where both variables have their halves of the pair.
    fn named(&mut self, body: IdedExpr) -> IdedExpr {
        let inner = self.bind(VALUE, self.value.clone(), body);
        self.bind(KEY, self.key.clone(), inner)
    }

    fn bind(&mut self, half: &str, name: String, body: IdedExpr) -> IdedExpr {
        let pair = self.ident(PAIR);
        let comprehension = ComprehensionExpr {
            iter_range: self.node(Expr::List(ListExpr::new(Vec::new()))),
            iter_var: "@unused".to_owned(),
            iter_var2: None,
            accu_init: self.call(half, vec![pair]),
            loop_cond: self.truth(false),
            loop_step: self.ident(&name),
            result: body,
            accu_var: name,
        };
        self.node(Expr::Comprehension(Box::new(comprehension)))
    }

    fn finish(
        mut self,
        accu_init: IdedExpr,
        loop_cond: IdedExpr,
        loop_step: IdedExpr,
        result: IdedExpr,
    ) -> (Self, IdedExpr) {
        let range = std::mem::take(&mut self.range);
        let comprehension = ComprehensionExpr {
            iter_range: self.call(ENTRIES, vec![range]),
            iter_var: PAIR.to_owned(),
            iter_var2: None,
            accu_var: RESULT.to_owned(),
            accu_init,
            loop_cond,
            loop_step,
            result,
        };
        let whole = self.node(Expr::Comprehension(Box::new(comprehension)));
        (self, whole)
    }

    fn fold(mut self, kind: Fold) -> IdedExpr {
        let (start, connective) = match kind {
            Fold::All => (true, operators::LOGICAL_AND),
            Fold::Exists => (false, operators::LOGICAL_OR),
        };
        let body = std::mem::take(&mut self.body);
        let body = self.named(body);
        let init = self.truth(start);
        let so_far = self.ident(RESULT);
        let going = match kind {
            Fold::All => so_far,
            Fold::Exists => self.call(operators::LOGICAL_NOT, vec![so_far]),
        };
        let cond = self.call(operators::NOT_STRICTLY_FALSE, vec![going]);
        let so_far = self.ident(RESULT);
        let step = self.call(connective, vec![so_far, body]);
        let result = self.ident(RESULT);
        self.finish(init, cond, step, result).1
    }

    fn exactly_one(mut self) -> IdedExpr {
        let body = std::mem::take(&mut self.body);
        let body = self.named(body);
        let init = self.node(Expr::Literal(LiteralValue::Int(0.into())));
        let cond = self.truth(true);
        let (so_far, same, end) = (self.ident(RESULT), self.ident(RESULT), self.ident(RESULT));
        let one = self.node(Expr::Literal(LiteralValue::Int(1.into())));
        let more = self.call(operators::ADD, vec![so_far, one.clone()]);
        let step = self.call(operators::CONDITIONAL, vec![body, more, same]);
        let result = self.call(operators::EQUALS, vec![end, one]);
        self.finish(init, cond, step, result).1
    }

    /// A list of what the body comes to, or with keys for [`MAP_OF_PAIRS`].
    fn gather(mut self, wrap: Option<&str>) -> IdedExpr {
        let mut body = std::mem::take(&mut self.body);
        if wrap == Some(MAP_OF_PAIRS) {
            let key = self.ident(&self.key.clone());
            let key = self.call("dyn", vec![key]);
            let value = self.call("dyn", vec![body]);
            body = self.node(Expr::List(ListExpr::new(vec![key, value])));
        }
        let item = self.named(body);
        let init = self.node(Expr::List(ListExpr::new(Vec::new())));
        let cond = self.truth(true);
        let so_far = self.ident(RESULT);
        let items = self.node(Expr::List(ListExpr::new(vec![item])));
        let mut step = self.call(operators::ADD, vec![so_far, items]);
        if let Some(filter) = self.filter.take() {
            let filter = self.named(filter);
            let same = self.ident(RESULT);
            step = self.call(operators::CONDITIONAL, vec![filter, step, same]);
        }
        let result = self.ident(RESULT);
        let (mut this, whole) = self.finish(init, cond, step, result);
        match wrap {
            Some(wrap) => this.call(wrap, vec![whole]),
            None => whole,
        }
    }
}

/// `[[key, value], ...]` of a map, `[[index, item], ...]` of a list.
fn entries<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let range = args[0].as_ref();
    charge_copy(range)?;
    let pair = |key: Box<dyn Val + 'v>, value: &(dyn Val + 'v)| {
        let halves = vec![key, value.clone_as_boxed()];
        Box::new(CelList::from(halves)) as Box<dyn Val + 'v>
    };
    if let Some(map) = range.downcast_ref::<CelMap>() {
        charge(map.inner().len() as u64)?;
        let pairs = map.inner().iter();
        let pairs = pairs.map(|(key, value)| pair(key.inner().clone_as_boxed(), value.as_ref()));
        return of_list(pairs.collect());
    }
    let items = elements(&args, 0)?;
    charge(items.len() as u64)?;
    let pairs = items.into_iter().zip(0_i64..);
    of_list(
        pairs
            .map(|(item, i)| pair(Box::new(CelInt::from(i)), item))
            .collect(),
    )
}

fn half<'b, 'v>(args: Args<'b, 'v>, place: usize) -> Outcome<'b, 'v> {
    let halves = elements(&args, 0)?;
    let half = halves.get(place).map(|half| half.clone_as_boxed());
    half.map(CowVal::Owned)
        .ok_or_else(|| failure("loop", "no such overload"))
}

fn map_of_pairs<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let mut map = HashMap::new();
    for pair in elements(&args, 0)? {
        charge_copy(pair)?;
        let pair = pair
            .downcast_ref::<CelList>()
            .map_or(&[][..], CelList::inner);
        let [key, value] = pair else {
            return Err(failure("transformMap", "no such overload"));
        };
        map.insert(key.clone_as_boxed().try_into()?, value.clone_as_boxed());
    }
    Ok(CowVal::owned(CelMap::from(map)))
}

fn merged<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let mut map: HashMap<CelMapKey<'v>, Box<dyn Val + 'v>> = HashMap::new();
    for one in elements(&args, 0)? {
        charge_copy(one)?;
        let one = one.downcast_ref::<CelMap>();
        let one = one.ok_or_else(|| failure("transformMapEntry", "no such overload"))?;
        for (key, value) in one.inner() {
            if map.insert(key.clone(), value.clone_as_boxed()).is_some() {
                let why = format!("insert failed: key {key:?} already exists");
                return Err(failure("transformMapEntry", why));
            }
        }
    }
    Ok(CowVal::owned(CelMap::from(map)))
}
