-- Follows kstatus, as the conditions of the resource do:
-- https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
-- Uses no library, because Argo CD opens none for a script in argocd-cm.
local hs = { status = "Progressing", message = "The operator has not reconciled this resource yet" }

-- The conditions of the present generation. An older condition says nothing about the present spec.
local conditions = {}
local latest = nil
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    if condition.type == "Ready" then
      latest = condition
    end
    if condition.observedGeneration == obj.metadata.generation then
      conditions[condition.type] = condition
    end
  end
end

if obj.spec.suspend then
  hs.status = "Suspended"
  hs.message = "spec.suspend is true"
  local annotations = obj.metadata.annotations
  if annotations ~= nil and annotations["cognito-password-operator.io/suspended-because"] ~= nil then
    hs.message = hs.message .. " (" .. annotations["cognito-password-operator.io/suspended-because"] .. ")"
  end
  if latest ~= nil then
    hs.message = hs.message .. "; before: " .. latest.reason .. ": " .. latest.message
  end
  return hs
end

local ready = conditions["Ready"]
if ready == nil then
  if latest ~= nil then
    hs.message = "The operator has not reconciled the last change of the spec yet"
  end
  return hs
end

hs.message = ready.reason .. ": " .. ready.message
-- The operator moves status.observedGeneration when the resource is settled or stalled.
if obj.status.observedGeneration ~= obj.metadata.generation then
  return hs
end
local reconciling = conditions["Reconciling"]
if reconciling ~= nil and reconciling.status == "True" then
  return hs
end
local stalled = conditions["Stalled"]
if stalled ~= nil and stalled.status == "True" then
  hs.status = "Degraded"
elseif ready.status == "True" then
  hs.status = "Healthy"
end
return hs
