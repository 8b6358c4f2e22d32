// Our two kinds as resources of the API.
import type { ModelDeployment } from '../api/modeldeployment.ts'
import type { ModelRevision } from '../api/modelrevision.ts'
import { group, version } from '../api/objectmeta.ts'
import { resource } from '../kube/resources.ts'

export const modelDeployments = resource<ModelDeployment>(group, version, 'modeldeployments', 'ModelDeployment')
export const modelRevisions = resource<ModelRevision>(group, version, 'modelrevisions', 'ModelRevision')
