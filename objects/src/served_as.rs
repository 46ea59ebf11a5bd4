/// Makes a type with a `metadata: ObjectMeta`, which holds a part of a kind
/// only, that kind to `kube`: `served_as!(Pod, core::Pod, NamespaceResourceScope)`.
#[macro_export]
macro_rules! served_as {
    ($type:ty, $real:ty, $scope:ident) => {
        impl $crate::kube::Resource for $type {
            type DynamicType = ();
            type Scope = $crate::k8s_openapi::$scope;

            fn kind(dt: &()) -> ::std::borrow::Cow<'_, str> {
                <$real as $crate::kube::Resource>::kind(dt)
            }
            fn group(dt: &()) -> ::std::borrow::Cow<'_, str> {
                <$real as $crate::kube::Resource>::group(dt)
            }
            fn version(dt: &()) -> ::std::borrow::Cow<'_, str> {
                <$real as $crate::kube::Resource>::version(dt)
            }
            fn plural(dt: &()) -> ::std::borrow::Cow<'_, str> {
                <$real as $crate::kube::Resource>::plural(dt)
            }
            fn meta(&self) -> &$crate::kube::api::ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut $crate::kube::api::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}
