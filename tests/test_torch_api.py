"""What stablint knows of torch, asked without torch."""

import subprocess
import sys

import pytest

from stablint.static.torch_api import canonical, is_module, kind, operation
from stablint.static.torch_api.purity import is_pure


@pytest.mark.parametrize(
    ("dotted", "public"),
    [
        ("torch.nn.modules.loss.CrossEntropyLoss", "torch.nn.CrossEntropyLoss"),
        ("torch.nn.modules.activation.MultiheadAttention", "torch.nn.MultiheadAttention"),
        ("torch.nn.modules.Linear", "torch.nn.Linear"),
        ("torch.nn.parameter.Parameter", "torch.nn.Parameter"),
        ("torch.functional.einsum", "torch.einsum"),
        ("torch.optim.adam.Adam", "torch.optim.Adam"),
        ("torch.optim.adam.Adam.step", "torch.optim.Adam.step"),
        ("torch.optim.lr_scheduler._LRScheduler", "torch.optim.lr_scheduler.LRScheduler"),
        ("torch.cuda.amp.GradScaler", "torch.amp.GradScaler"),
        ("torch.cuda.amp.grad_scaler.GradScaler", "torch.amp.GradScaler"),
        ("torch.amp.grad_scaler.GradScaler.unscale_", "torch.amp.GradScaler.unscale_"),
        ("torch.cuda.amp.autocast", "torch.amp.autocast"),
        ("torch.autocast", "torch.amp.autocast"),
        ("torch.autograd.no_grad", "torch.no_grad"),
        ("torch.autograd.grad_mode.no_grad", "torch.no_grad"),
        ("torch.autograd.variable.Variable", "torch.autograd.Variable"),
        ("torch.utils.data.dataloader.DataLoader", "torch.utils.data.DataLoader"),
        ("torch.utils.data.distributed.DistributedSampler", "torch.utils.data.DistributedSampler"),
        ("torch.nn.utils.clip_grad.clip_grad_norm_", "torch.nn.utils.clip_grad_norm_"),
        ("torch.nn.utils.clip_grad_norm", "torch.nn.utils.clip_grad_norm_"),
        ("torch.nn.init.xavier_uniform", "torch.nn.init.xavier_uniform_"),
        ("torch.nn.parallel.DataParallel", "torch.nn.DataParallel"),
        ("torch.distributions.categorical.Categorical", "torch.distributions.Categorical"),
    ],
)
def test_every_path_to_a_thing_leads_to_its_public_name(dotted: str, public: str) -> None:
    assert canonical(dotted) == public
    assert canonical(public) == public


@pytest.mark.parametrize(
    "dotted",
    [
        "torch.nn.functional.relu",
        "torch.relu",
        "torch.nn.modules.loss.NoSuchLoss",
        "torch.optim.adam.adam",
        "torch.nn.utils.weight_norm",
        "mine.nn.modules.loss.CrossEntropyLoss",
        "torch",
        "",
    ],
)
def test_other_names_stay_as_they_are(dotted: str) -> None:
    assert canonical(dotted) == dotted


@pytest.mark.parametrize(
    ("short", "spellings"),
    [
        ("softmax", "torch.softmax torch.nn.functional.softmax torch.Tensor.softmax torch.special.softmax"),
        ("softmax", "torch.nn.Softmax torch.nn.modules.activation.Softmax torch.nn.Softmax2d"),
        ("sigmoid", "torch.sigmoid torch.Tensor.sigmoid_ torch.special.expit torch.nn.Sigmoid"),
        ("relu", "torch.relu_ torch.nn.functional.relu torch.nn.ReLU torch.Tensor.relu"),
        (
            "norm",
            "torch.norm torch.linalg.norm torch.linalg.vector_norm torch.Tensor.norm torch.functional.norm",
        ),
        ("clamp", "torch.clamp torch.clip torch.Tensor.clamp_ torch.Tensor.clip"),
        ("clamp_min", "torch.clamp_min torch.Tensor.clamp_min_"),
        ("div", "torch.div torch.true_divide torch.Tensor.divide_ torch.Tensor.__truediv__"),
        ("sub", "torch.sub torch.subtract torch.Tensor.sub_"),
        ("rsub", "torch.rsub torch.Tensor.__rsub__"),
        ("neg", "torch.negative torch.Tensor.neg_ torch.Tensor.__neg__"),
        ("cross_entropy", "torch.nn.functional.cross_entropy torch.nn.CrossEntropyLoss"),
        ("binary_cross_entropy_with_logits", "torch.nn.BCEWithLogitsLoss"),
        ("linear", "torch.nn.Linear torch.nn.LazyLinear torch.nn.functional.linear"),
        ("batch_norm", "torch.nn.BatchNorm1d torch.nn.SyncBatchNorm torch.nn.modules.batchnorm._BatchNorm"),
        ("unfold", "torch.Tensor.unfold"),
        ("im2col", "torch.nn.functional.unfold torch.nn.Unfold"),
        ("identity", "torch.nn.Identity torch.autograd.Variable"),
    ],
)
def test_an_operation_has_one_name_however_it_is_spelled(short: str, spellings: str) -> None:
    assert {spelling: operation(spelling) for spelling in spellings.split()} == dict.fromkeys(
        spellings.split(), short
    )


@pytest.mark.parametrize(
    "dotted",
    [
        "torch.manual_seed",
        "torch.save",
        "torch.no_grad",
        "torch.nn.Module",
        "torch.nn.Sequential",
        "torch.optim.Adam",
        "torch.Tensor",
        "torch.Tensor.no_such_method",
        "torch.nn.functional.no_such_function",
        "numpy.exp",
        "autograd.Variable",
    ],
)
def test_what_computes_no_tensor_is_no_operation(dotted: str) -> None:
    assert operation(dotted) is None


@pytest.mark.parametrize(
    ("dotted", "word"),
    [
        ("torch.nn.Linear", "module"),
        ("torch.nn.modules.batchnorm._BatchNorm", "module"),
        ("torch.nn.CrossEntropyLoss", "loss"),
        ("torch.optim.sgd.SGD", "optimizer"),
        ("torch.optim.lr_scheduler.ReduceLROnPlateau", "scheduler"),
        ("torch.cuda.amp.GradScaler", "scaler"),
        ("torch.utils.data.DataLoader", "loader"),
        ("torch.utils.data.TensorDataset", "dataset"),
        ("torch.nn.Parameter", "parameter"),
        ("torch.distributions.Normal", "distribution"),
        ("torch.FloatTensor", "tensor"),
        ("torch.inference_mode", "context"),
        ("torch.device", "class"),
        ("torch.nn.functional.softmax", "function"),
        ("torch.Tensor.sum", "method"),
        ("torch.nn.Module.to", "method"),
        ("transformers.AdamW", "optimizer"),
        ("transformers.get_cosine_schedule_with_warmup", "scheduler"),
        ("transformers.BertForSequenceClassification.from_pretrained", "module"),
        ("transformers.AutoTokenizer.from_pretrained", None),
        ("transformers.DataCollatorForLanguageModeling", None),
        ("torchvision.models.resnet50", "module"),
        ("torchvision.models.ResNet50_Weights.DEFAULT", None),
        ("timm.create_model", "module"),
        ("apex.optimizers.FusedAdam", "optimizer"),
        ("bitsandbytes.optim.Adam8bit", "optimizer"),
        ("lion_pytorch.Lion", "optimizer"),
        ("torch.no_such_thing", None),
        ("numpy.zeros", None),
    ],
)
def test_a_constructor_says_what_it_makes(dotted: str, word: str | None) -> None:
    assert kind(dotted) == word


def test_a_loss_is_a_module_too() -> None:
    assert is_module("torch.nn.MSELoss")
    assert is_module("torch.nn.Linear")
    assert not is_module("torch.optim.Adam")


def test_calls_that_only_return_are_told_from_those_that_do() -> None:
    pure = "torch.clamp torch.nn.functional.dropout torch.Tensor.detach torch.Tensor.to torch.special.expit"
    impure = (
        "torch.manual_seed torch.relu_ torch.Tensor.add_ torch.Tensor.backward torch.Tensor.requires_grad_ "
        "torch.zeros torch.nn.functional.batch_norm torch.nn.Linear torch.nn.init.zeros_ mine.clamp"
    )
    assert [name for name in pure.split() if not is_pure(name)] == []
    assert [name for name in impure.split() if is_pure(name)] == []


def test_neither_torch_nor_libcst_is_imported() -> None:
    program = (
        "import sys; from stablint.static.torch_api import canonical, kind, operation, signature\n"
        "import stablint.static.torch_api.groups, stablint.static.torch_api.purity\n"
        "[ask('torch.nn.ReLU') for ask in (canonical, kind, operation, signature)]\n"
        "print(sorted({'json', 'libcst', 'numpy', 'torch'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "['json']"
