obj.spec.suspend = true
-- The annotation is for people: health.lua shows the annotation, and the operator ignores it.
local reason = actionParams ~= nil and actionParams["reason"] or nil
if reason ~= nil and reason ~= "" then
  if obj.metadata.annotations == nil then
    obj.metadata.annotations = {}
  end
  obj.metadata.annotations["cognito-password-operator.io/suspended-because"] = reason
end
return obj
