-- The operator sets the password whenever the value of this annotation changes.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["cognito-password-operator.io/requestedAt"] = os.date("!%Y-%m-%dT%XZ")
return obj
