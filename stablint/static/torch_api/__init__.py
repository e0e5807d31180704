"""What stablint knows of torch's API, as data; torch itself is never imported.

| to ask | look in |
|---|---|
| which public name is this? | `names.canonical` |
| which operation is this, however spelled? | `operations.operation` |
| what does this constructor make? | `kinds.kind`, `kinds.is_module` |
| what are its parameters, and which argument is which? | `signatures.signature`, `signatures.bind` |
| does this operation keep values, is it an activation, a loss, random, ...? | `groups` |

| to add | edit |
|---|---|
| a spelling of an operation, a layer's operation | `operations.json` |
| a deprecated name | `names.RENAMED` |
| an optimizer, scheduler, model factory outside torch | `third_party.json` |
| an operation to a group | `groups.py` |
| a new release of torch | run `python tests/tools/torch_api`, which writes `torch_api.json` |
"""

from stablint.static.torch_api.kinds import MODULE_BASES as MODULE_BASES
from stablint.static.torch_api.kinds import Kind as Kind
from stablint.static.torch_api.kinds import is_module as is_module
from stablint.static.torch_api.kinds import kind as kind
from stablint.static.torch_api.names import canonical as canonical
from stablint.static.torch_api.operations import OPERATORS as OPERATORS
from stablint.static.torch_api.operations import operation as operation
from stablint.static.torch_api.signatures import UNKNOWN as UNKNOWN
from stablint.static.torch_api.signatures import Parameter as Parameter
from stablint.static.torch_api.signatures import Signature as Signature
from stablint.static.torch_api.signatures import bind as bind
from stablint.static.torch_api.signatures import signature as signature
