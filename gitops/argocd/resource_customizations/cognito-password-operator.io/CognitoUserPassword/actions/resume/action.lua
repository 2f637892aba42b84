obj.spec.suspend = false
if obj.metadata.annotations ~= nil then
  obj.metadata.annotations["cognito-password-operator.io/suspended-because"] = nil
end
return obj
