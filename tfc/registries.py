"""Everything that a configuration chooses by name, each name said once: the allowed values are these keys.

The registries are lazy: what a name stands for is imported when it is used. A new method, model, data set, partition
or augmentation is a line here.
"""

from __future__ import annotations

from tfc.base.lazy_registry import LazyRegistry

METHODS = LazyRegistry(
    {
        "eden": "tfc.methods.eden:EDEN",
        "fedavg": "tfc.methods.fedavg:FEDAVG",
        "fedcompress": "tfc.methods.fedcompress:FEDCOMPRESS",
        "fedzip": "tfc.methods.fedzip:FEDZIP",
        "stc": "tfc.methods.stc:STC",
        "tff8bit": "tfc.methods.tff_aggregators:TFF8BIT",
    }
)
"""`method`: federated methods, `tfc.federated.method.Method`: (model_fn, data_type, config, ood_fn) -> LearningProcess.

Examples:
    >>> import tfc
    >>> sorted(tfc.METHODS)
    ['eden', 'fedavg', 'fedcompress', 'fedzip', 'stc', 'tff8bit']
    >>> tfc.METHODS["stc"].uplink_form
    'sparse ternary'
"""

AGGREGATORS = LazyRegistry(
    {"robust": "tfc.methods.tff_aggregators:robust", "dp": "tfc.methods.tff_aggregators:differentially_private"}
)
"""`aggregation` beside `mean`: TFF's aggregators that fedavg can join updates with, (config) -> factory."""

MODELS = LazyRegistry(
    {
        "resnet8": "tfc.models.resnet:resnet8",
        "resnet20": "tfc.models.resnet:resnet20",
        "mobilenet": "tfc.models.mobilenet:mobilenet",
        "dscnn": "tfc.models.dscnn:dscnn",
        "conv1d": "tfc.models.conv1d:conv1d",
    }
)
"""`model.name`: builders, (input_shape, num_classes, *, seed, batchnorm_momentum) -> Keras model.

Each model has logits as its output and a layer named `embedding` in front of the classifier.
"""

IMAGE_SETS = LazyRegistry(
    {
        "mnist5k": "tfc.data.images:mnist5k",
        "fashion_mnist": "tfc.data.images:fashion_mnist",
        "cifar10": "tfc.data.cifar:cifar10",
        "cifar100": "tfc.data.cifar:cifar100",
        "pathmnist": "tfc.data.images:pathmnist",
        "images": "tfc.data.image_folder:images",
        "npz": "tfc.data.npz_file:npz",
    }
)
"""`data.dataset`: loaders of all but audio, (data_dir, configuration of the data) -> Dataset.

What the server distils on follows from the kind of the inputs.
"""

AUDIO_SETS = LazyRegistry(
    {
        "speech_commands": "tfc.data.speech_commands:speech_commands",
        "voxforge": "tfc.data.voxforge:voxforge",
        "spoken_words": "tfc.data.spoken_words:spoken_words",
    }
)
"""`data.dataset`: loaders of audio, likewise; the server distils on audio."""

SENSOR_SETS = LazyRegistry({"watch": "tfc.data.watch:watch"})
"""`data.dataset`: loaders of sensor readings, likewise; the server distils on noise."""

DATASETS = IMAGE_SETS | AUDIO_SETS | SENSOR_SETS

NUMPY_SETS = (frozenset(IMAGE_SETS) | frozenset(SENSOR_SETS)) - {"images"}
"""Data sets whose loaders need NumPy alone: they are read in half a second, before TensorFlow is there."""

INPUT_KINDS = LazyRegistry(
    {
        "image": "tfc.data.input_kinds:image_inputs",
        "sequence": "tfc.data.input_kinds:sequence_inputs",
        "table": "tfc.data.input_kinds:table_inputs",
        "tokens": "tfc.data.input_kinds:token_inputs",
    }
)
"""`data.kind` beside `auto`: what inputs are, (array, what to call it in an error) -> array of its final type."""

PARTITIONS = LazyRegistry(
    {
        "iid": "tfc.data.partition:iid_partition",
        "dirichlet": "tfc.data.partition:dirichlet_partition",
        "dirichlet-balanced": "tfc.data.partition:balanced_dirichlet_partition",
        "owner": "tfc.data.partition:owner_partition",
        "quantity": "tfc.data.partition:quantity_partition",
    }
)
"""`data.partition`: (labels, owners, configuration of the data, seed) -> example numbers of each client."""

WORD_CHOICES = LazyRegistry(
    {
        "ten": "tfc.data.speech_commands:ten_words",
        "twelve": "tfc.data.speech_commands:twelve_words",
        "all": "tfc.data.speech_commands:all_words",
    }
)
"""`data.words`: (the words that there are) -> classes of Speech Commands."""

AUGMENTATIONS = LazyRegistry(
    {"none": "tfc.data.augmentation:unchanged", "flip-crop-cutout": "tfc.data.augmentation:flip_crop_cutout"}
)
"""`training.augmentation`: (images, seed) -> images."""

OOD_SOURCES = LazyRegistry(
    {
        "images": "tfc.data.ood_sources:IMAGES",
        "audio": "tfc.data.ood_sources:AUDIO",
        "noise": "tfc.data.ood_sources:NOISE",
    }
)
"""`server.ood` beside `auto`: what the server distils on, `tfc.data.ood_sources.OodSource`."""

LAYER_CHOICES = LazyRegistry(
    {
        "conv": "tfc.clustering.layout:CONVOLUTIONS",
        "all": "tfc.clustering.layout:CONVOLUTIONS_AND_DENSE",
        "all+depthwise": "tfc.clustering.layout:ALL_KERNELS",
    }
)
"""`clustering.layers`: which kinds of kernels are clustered; `conv` is the paper's choice."""

CENTROID_STARTS = LazyRegistry(
    {
        "broadcast": "tfc.federated.clustered_training:broadcast_codebooks",
        "kmeans++": "tfc.federated.clustered_training:drawn_codebooks",
    }
)
"""`clustering.start`: a client's first centroids."""

UPLINK_MODES = LazyRegistry(
    {
        "weights": "tfc.federated.clustered_training:WeightClustering",
        "update": "tfc.federated.clustered_training:UpdateClustering",
    }
)
"""`communication.uplink`: what clients palettize."""

SERVER_OPTIMIZERS = LazyRegistry(
    {
        "average": "tfc.federated.server_optimizer:AVERAGE",
        "momentum": "tfc.federated.server_optimizer:MOMENTUM",
        "adam": "tfc.federated.server_optimizer:ADAM",
    }
)
"""`server_optimizer.name`: how the mean of the clients' changes moves the model, `OptimizerKind`."""

SIDE_PARAMETER_FORMS = LazyRegistry(
    {
        "float32": "tfc.update_codecs.side_parameters:Float32SideParameters",
        "int8": "tfc.update_codecs.side_parameters:ByteSideParameters",
    }
)
"""`communication.small_values`: (sizes, variances) -> how weights travel that a method's codec leaves alone."""
