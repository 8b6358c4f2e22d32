// Takes away what the demo made: the whole cluster if it is ours, else the release and the example objects.
import { openCluster, takeDownOwn } from '../../test/kit/cluster.ts'
import { namespace } from './up.ts'
import { command, show, step } from './report.ts'

export const demoDown = async (): Promise<void> => {
  const own = await step('A cluster of our own', takeDownOwn)
  if (own !== 'not ours') {
    show(own === 'taken down' ? 'It is down; nothing of it is left.' : 'There is none up.')
    return
  }
  const { shell } = await openCluster()
  await step('The example objects', async () => {
    command(
      'kubectl delete mdep silero; kubectl delete -f examples/silero/store.yaml; kubectl delete configmap silero-request',
    )
    show(
      await shell.kubectl([
        'delete',
        '-n',
        namespace,
        'modeldeployments.slipway.dev/silero',
        '--ignore-not-found',
        '--wait',
      ]),
    )
    show(await shell.kubectl(['delete', '-n', namespace, '-f', 'examples/silero/store.yaml', '--ignore-not-found']))
    const rest = ['pod/silero-clients', 'configmap/silero-request']
    show(await shell.kubectl(['delete', '-n', namespace, ...rest, '--ignore-not-found', '--wait=false']))
  })
  await step('Slipway', async () => {
    command('helm uninstall slipway -n slipway-system --wait')
    show(await shell.helm(['uninstall', 'slipway', '-n', 'slipway-system', '--ignore-not-found', '--wait']))
  })
}
