"""Sets of operations and of names that rules ask for.

A set of plain words holds short names, as `operation` gives them, and so is about functions, methods and
layers alike; a set of dotted names holds public names, as `canonical` gives them. To add one, put it in its
set: a test checks that torch has it.
"""


def words(text: str) -> frozenset[str]:
    """The words of the text as a set."""
    return frozenset(text.split())


# What an operation does to values.

CONVERSIONS = words("to type type_as float double half bfloat16 cuda cpu xpu pin_memory")
"""The same values on another device or in another floating type."""

SELECTIONS = words(
    "select index_select gather take take_along_dim masked_select narrow getitem slice_copy diagonal"
)
"""Some of the elements, unchanged."""

SPLITS = words("chunk split tensor_split hsplit vsplit dsplit unbind meshgrid broadcast_tensors")
"""Several tensors out of one."""

JOINS = words("cat stack hstack vstack dstack column_stack")
"""One tensor out of several."""

SHAPE_ONLY = (
    CONVERSIONS
    | SELECTIONS
    | SPLITS
    | JOINS
    | words(
        "view reshape flatten unflatten ravel squeeze unsqueeze transpose permute movedim contiguous "
        "expand broadcast_to repeat tile repeat_interleave flip fliplr flipud roll rot90 as_strided "
        "unfold atleast_1d atleast_2d atleast_3d pixel_shuffle pixel_unshuffle channel_shuffle clone "
        "detach identity positive resolve_conj resolve_neg"
    )
)
"""Every element of the result is an element of the input: rearranged, repeated, left out or converted."""

SHAPE_ATTRIBUTES = frozenset({"T", "mT", "data"})
"""Attributes of a tensor that hold its own values."""

EXTREMES = words(
    "max min amax amin aminmax median kthvalue topk sort msort mode quantile cummax cummin max_pool1d "
    "max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"
)
"""The values are among the input's, or between them (indices may come with them)."""

REDUCTIONS = words(
    "sum mean prod var std norm logsumexp amax amin max min median nansum nanmean trace all any"
)
"""Fewer elements than before."""

NON_NEGATIVE = words(
    "relu relu6 sigmoid hardsigmoid softmax softmin gumbel_softmax abs square exp exp2 sqrt norm var "
    "std softplus cosh one_hot cdist pdist dist pairwise_distance mse_loss l1_loss smooth_l1_loss "
    "huber_loss cross_entropy"
)
"""No element of the result is below zero."""

NO_GRAPH = words(
    "argmax argmin argsort argwhere nonzero count_nonzero any all isnan isinf isfinite isposinf "
    "isneginf isclose equal eq ne lt le gt ge logical_and logical_or logical_not logical_xor bincount "
    "searchsorted bucketize multinomial histc one_hot floor_divide detach item tolist numpy long int short "
    "char byte bool signbit size dim numel"
)
"""The result carries no gradient at all."""

ZERO_GRADIENT = words("round floor ceil trunc sign sgn heaviside bernoulli")
"""The result belongs to the graph, but the gradient through it is zero or not defined."""

NON_DIFFERENTIABLE = NO_GRAPH | ZERO_GRADIENT
"""Nothing before it learns from what comes after it."""

# What a layer or a function of a model is for.

RECTIFIERS = words("relu relu6 leaky_relu prelu rrelu elu celu selu gelu silu mish softplus hardswish")
"""Activations with a slope of about one on one side."""

SQUASHES = words("sigmoid tanh hardsigmoid hardtanh softsign")
"""Activations that saturate on both sides."""

ACTIVATIONS = RECTIFIERS | SQUASHES | words("glu hardshrink softshrink tanhshrink logsigmoid threshold")
"""Elementwise nonlinearities of a hidden layer."""

SOFTMAXES = words("softmax softmin log_softmax gumbel_softmax")

CONVOLUTIONS = words("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d")

AFFINE = CONVOLUTIONS | frozenset({"linear", "bilinear"})
"""What has a weight by which its input is multiplied; lazy layers are among them."""

RECURRENT = words("lstm gru rnn lstm_cell gru_cell rnn_cell")

NORMALISATIONS = words(
    "batch_norm instance_norm layer_norm group_norm rms_norm local_response_norm normalize"
)

DROPOUTS = words("dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout feature_dropout")

MODE_DEPENDENT = DROPOUTS | frozenset({"batch_norm", "rrelu"})
"""Layers that differ between `train()` and `eval()` whatever their arguments."""

MODE_DEPENDENT_WITH = {
    "lstm": "dropout",
    "gru": "dropout",
    "rnn": "dropout",
    "multi_head_attention": "dropout",
    "instance_norm": "track_running_stats",
}
"""Layers that do so if this argument of their constructor, or its default, is not zero or False."""

MODE_DEPENDENT_BLOCKS = frozenset(
    f"torch.nn.Transformer{part}" for part in ("", "Encoder", "EncoderLayer", "Decoder", "DecoderLayer")
)
"""Modules with dropout inside them by default."""

CONTAINERS = frozenset({"torch.nn.Sequential", "torch.nn.ModuleList", "torch.nn.ModuleDict"})
"""Modules that hold others."""

LOSSES = words(
    "cross_entropy linear_cross_entropy nll_loss binary_cross_entropy "
    "binary_cross_entropy_with_logits mse_loss l1_loss smooth_l1_loss huber_loss kl_div "
    "poisson_nll_loss gaussian_nll_loss ctc_loss margin_ranking_loss hinge_embedding_loss "
    "cosine_embedding_loss triplet_margin_loss triplet_margin_with_distance_loss multi_margin_loss "
    "multilabel_margin_loss multilabel_soft_margin_loss soft_margin_loss "
    "adaptive_log_softmax_with_loss"
)

# Where tensors come from.

RANDOM = words(
    "rand rand_like randn randn_like randint randint_like randperm normal bernoulli multinomial "
    "poisson binomial uniform random exponential geometric log_normal cauchy"
)
"""New random values; the last ones only fill (`x.uniform_()`)."""

CONSTANT = words(
    "zeros zeros_like ones ones_like full full_like eye arange range linspace logspace tensor "
    "as_tensor asarray from_numpy frombuffer scalar_tensor new_zeros new_ones new_full new_tensor "
    "tril_indices triu_indices bartlett_window blackman_window hamming_window hann_window "
    "kaiser_window zero fill"
)
"""New values that are given, and depend on no other tensor."""

UNINITIALISED = words("empty empty_like empty_strided empty_permuted new_empty new_empty_strided new")
"""New tensors that hold whatever was in memory; so is `torch.Tensor(sizes)`, which is kind "tensor"."""

CREATIONS = RANDOM | CONSTANT | UNINITIALISED

IN_PLACE_INIT = frozenset(
    f"torch.nn.init.{name}_"
    for name in words(
        "constant dirac eye kaiming_normal kaiming_uniform normal ones orthogonal sparse trunc_normal "
        "uniform xavier_normal xavier_uniform zeros"
    )
)
"""The initialisers, all of which fill their first argument."""

CONSTANT_INIT = frozenset({"torch.nn.init.constant_", "torch.nn.init.ones_", "torch.nn.init.zeros_"})
"""The initialisers that give every element the same value."""

# Training.

GRADIENT_CLIPPING = frozenset(
    f"torch.nn.utils.{name}" for name in ("clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_")
)

GRADIENT_OFF = frozenset({"torch.no_grad", "torch.inference_mode"})
"""Contexts and decorators in which nothing is recorded; `set_grad_enabled` depends on its argument."""
