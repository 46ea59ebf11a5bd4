//! The types that only functions look into.

use cel::common::types::Type;

pub const QUANTITY: &str = "kubernetes.Quantity";
pub const IP: &str = "net.IP";
pub const CIDR: &str = "net.CIDR";
pub const URL: &str = "kubernetes.URL";
pub const FORMAT: &str = "kubernetes.NamedFormat";
pub const SEMVER: &str = "kubernetes.Semver";
pub const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
pub const PATH_CHECK: &str = "kubernetes.authorization.PathCheck";
pub const GROUP_CHECK: &str = "kubernetes.authorization.GroupCheck";
pub const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";
pub const DECISION: &str = "kubernetes.authorization.Decision";

/// The type of that name.
pub const fn named(name: &'static str) -> Type {
    Type::new_unspecified_type(name)
}

/// Makes a Rust type a value that expressions hand around; `$equals` compares two of them.
macro_rules! opaque {
    ($value:ty, $name:expr, $equals:expr) => {
        impl cel::common::value::Val for $value {
            fn get_type(&self) -> &cel::common::types::Type {
                <Self as cel::common::value::Val>::cel_type()
            }

            fn cel_type() -> &'static cel::common::types::Type {
                static TYPE: cel::common::types::Type = crate::library::kinds::named($name);
                &TYPE
            }

            fn equals(&self, other: &dyn cel::common::value::Val) -> bool {
                let equals: fn(&$value, &$value) -> bool = $equals;
                other
                    .downcast_ref::<$value>()
                    .is_some_and(|other| equals(self, other))
            }

            fn clone_as_boxed<'v>(&self) -> Box<dyn cel::common::value::Val + 'v>
            where
                Self: 'v,
            {
                Box::new(self.clone())
            }

            fn as_any(&self) -> Option<&dyn std::any::Any> {
                Some(self)
            }
        }

        impl cel::common::value::StaticVal for $value {}
    };
}

pub(crate) use opaque;
